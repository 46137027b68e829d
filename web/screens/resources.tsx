import { useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { CatalogueEntry } from '../../core/resources/catalogue.ts';
import { call } from '../net/api.ts';
import { useLoad } from '../net/load.ts';
import { useSending } from '../net/sending.ts';
import { Dialog } from '../parts/dialog.tsx';
import { Facts } from '../parts/facts.tsx';
import { Fault, Empty, Loaded, NotForToken } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { PageButtons, useList } from '../parts/paging.tsx';
import { Table } from '../parts/table.tsx';
import { Age } from '../parts/time.tsx';
import { Write } from '../parts/write.tsx';
import { Form, textOf, valueIn, type Row } from '../shown/form.tsx';
import { NewToken } from '../shown/new-token.tsx';
import { ServerChanges } from '../shown/server-changes.tsx';
import { Messages } from '../shown/messages.tsx';
import { catalogue, titled, titleOf } from '../state/catalogue.ts';
import { decoded, go, path } from '../state/router.ts';
import { may } from '../state/session.ts';

/** `/r/agents/helper`: which kind, and which of it. */
const kindOf = (): CatalogueEntry | undefined =>
  catalogue.value.find(({ plural }) => plural === path.value.split('/')[2]);

const keyIn = (entry: CatalogueEntry, row: Row): string => textOf(row[entry.key] ?? '');
const nameIn = (entry: CatalogueEntry, row: Row): string => textOf(row['name'] ?? row[entry.key] ?? '');
const addressOf = (entry: CatalogueEntry, row: Row): string =>
  `/ui/r/${entry.plural}/${encodeURIComponent(keyIn(entry, row))}`;

/** Ids by their end, as tasks are called: whole ones leave the rest of a row no room. */
function Cell({ value }: { value: ComponentChildren }) {
  if (typeof value !== 'string' || !/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/.test(value))
    return <>{value}</>;
  return <span class="mono id" title={value}>{`…${value.slice(-8)}`}</span>;
}

function Rows({ entry, rows, again }: { entry: CatalogueEntry; rows: readonly Row[]; again: () => void }) {
  const [first, ...rest] = entry.columns;
  const isShown = entry.calls.includes('get');
  return (
    <Table
      caption={titleOf(entry)}
      rows={rows}
      keyOf={(row) => textOf(row['id'] ?? keyIn(entry, row))}
      columns={[
        {
          head: titled((first?.label ?? 'Name').toLowerCase()),
          cell: (row) =>
            isShown ? <a href={addressOf(entry, row)}>{nameIn(entry, row)}</a> : nameIn(entry, row),
        },
        ...rest.map((column, i) => ({
          head: titled(column.label.toLowerCase()),
          wide: i > 1,
          cell: (row: Row) => <Cell value={valueIn(row, column)} />,
        })),
        ...(isShown || !entry.calls.includes('delete')
          ? []
          : [
              {
                head: 'End',
                cell: (row: Row) => <Delete entry={entry} row={row} done={again} />,
              },
            ]),
      ]}
    />
  );
}

const verbOf = ({ plural }: CatalogueEntry): string => (plural === 'tokens' ? 'Revoke' : 'Delete');

function Delete({ entry, row, done }: { entry: CatalogueEntry; row: Row; done: () => void }) {
  const isAsking = useSignal(false);
  const { fault, send } = useSending();
  const name = nameIn(entry, row);
  const remove = async (): Promise<void> => {
    await call('DELETE', `/${entry.plural}/${encodeURIComponent(keyIn(entry, row))}`);
    isAsking.value = false;
    done();
  };
  if (!may('delete', entry.word) || (row['revokedAt'] ?? null) !== null) return null;
  return (
    <>
      <Write
        type="button"
        class="danger small"
        aria-label={`${verbOf(entry)} ${name}`}
        onClick={() => (isAsking.value = true)}
      >
        {verbOf(entry)}
      </Write>
      {isAsking.value && (
        <Dialog title={`${verbOf(entry)} the ${entry.word} ${name}?`} close={() => (isAsking.value = false)}>
          {fault.value && <Fault fault={fault.value} />}
          {typeof row['lastUsedAt'] === 'string' && (
            <p>
              Last used: <Age at={row['lastUsedAt']} />.
            </p>
          )}
          <p>This cannot be undone.</p>
          <p class="actions">
            <Write class="main" onClick={() => void send(remove)}>
              {verbOf(entry)}
            </Write>
          </p>
        </Dialog>
      )}
    </>
  );
}

function Create({ entry, done }: { entry: CatalogueEntry; done: () => void }) {
  const isOpen = useSignal(false);
  const isToken = entry.plural === 'tokens';
  if (!may('create', entry.word) || (!isToken && !entry.calls.includes('create'))) return null;
  const close = (): void => {
    isOpen.value = false;
    done();
  };
  return (
    <>
      <Write onClick={() => (isOpen.value = true)}>New {entry.word}</Write>
      {isOpen.value && (
        <Dialog title={`New ${entry.word}`} close={close}>
          {isToken ? <NewToken /> : <Form entry={entry} done={close} />}
        </Dialog>
      )}
    </>
  );
}

function List({ entry }: { entry: CatalogueEntry }) {
  const { page: rows, paging } = useList<Row>(`/${entry.plural}`);
  return (
    <Screen
      title={titleOf(entry)}
      command={shell`mcpctl get ${entry.plural}`}
      actions={<Create entry={entry} done={rows.again} />}
    >
      <p class="quiet">{titled(entry.about)}.</p>
      <Loaded of={rows}>
        {({ items, next }) => (
          <>
            {items.length === 0 ? (
              <Empty why={`There are no ${entry.plural} that you may see.`}>
                {!may('create', entry.word) && <p>Your token may not make any.</p>}
              </Empty>
            ) : (
              <Rows entry={entry} rows={items} again={rows.again} />
            )}
            <PageButtons paging={paging} next={next} />
          </>
        )}
      </Loaded>
    </Screen>
  );
}

function Edit({ entry, row, done }: { entry: CatalogueEntry; row: Row; done: () => void }) {
  const isOpen = useSignal(false);
  const { calls, fields, word } = entry;
  if (!may('edit', word) || !calls.includes('change') || fields.some(({ sealed }) => sealed === true))
    return null;
  const close = (): void => {
    isOpen.value = false;
    done();
  };
  return (
    <>
      <Write onClick={() => (isOpen.value = true)}>Edit</Write>
      {isOpen.value && (
        <Dialog title={`Edit the ${word} ${nameIn(entry, row)}`} close={close}>
          <Form entry={entry} row={row} done={close} />
        </Dialog>
      )}
    </>
  );
}

function One({ entry, name }: { entry: CatalogueEntry; name: string }) {
  const one = useLoad<Row>(`/${entry.plural}/${encodeURIComponent(name)}`);
  const title = one.data.value ? nameIn(entry, one.data.value) : name;
  const row = one.data.value;
  const actions = row && (
    <>
      {entry.word === 'agent' && (
        <a class="button" href={`/ui/playground?llm=${encodeURIComponent(title)}`}>
          Try it
        </a>
      )}
      {entry.word === 'project' && (
        <a class="button" href={`/ui/mcp/${encodeURIComponent(title)}`}>
          What clients ask
        </a>
      )}
      {entry.word === 'user' && (
        <a class="button" href={`/ui/access?as=${encodeURIComponent(title)}`}>
          May they do that?
        </a>
      )}
      <Edit entry={entry} row={row} done={one.again} />
      {entry.calls.includes('delete') && (
        <Delete entry={entry} row={row} done={() => go(`/r/${entry.plural}`)} />
      )}
    </>
  );
  return (
    <Screen
      title={`${titled(entry.word)} ${title}`}
      command={shell`mcpctl describe ${entry.word} ${title}`}
      actions={actions}
    >
      <Loaded of={one}>
        {(data) => (
          <Facts
            of={entry.describe.map((fact) => [
              fact.label,
              fact.as === 'block' ? <pre>{valueIn(data, fact)}</pre> : valueIn(data, fact),
            ])}
          />
        )}
      </Loaded>
      {entry.word === 'server' && row && <ServerChanges server={keyIn(entry, row)} />}
      {entry.word === 'thread' && row && (
        <Messages thread={keyIn(entry, row)} agent={textOf(row['agent'] ?? '')} />
      )}
    </Screen>
  );
}

/** Lists and shows whatever kind the server tells of. */
export function Resources() {
  const entry = kindOf();
  const name = path.value.split('/')[3];
  if (!entry)
    return (
      <Screen title="Not here">
        <Empty why="This server tells of no such kind of thing." />
      </Screen>
    );
  if (!may('view', entry.word) && !may('create', entry.word))
    return (
      <Screen title={titleOf(entry)}>
        <NotForToken why={`Your token may not see ${entry.plural}.`} />
      </Screen>
    );
  if (name === undefined || name === '') return <List entry={entry} />;
  return <One entry={entry} name={decoded(name)} />;
}
