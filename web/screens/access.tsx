import type { ReviewView, WhoCanView } from '../../core/access.ts';
import { useLoad } from '../net/load.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { Table } from '../parts/table.tsx';
import { Chosen, Typed } from '../shown/filters.tsx';
import { catalogue } from '../state/catalogue.ts';
import { query } from '../state/router.ts';
import { may, who } from '../state/session.ts';

const verbs = ['run', 'view', 'create', 'edit', 'delete'] as const;

type Way = ReviewView['why'][number];

/** A user or a group leads to its own screen; `owner` is a word. */
function Via({ via }: { via: string }) {
  const [kind, name] = via.split(':');
  if (name === undefined) return <>{via}</>;
  return <a href={`/ui/r/${kind === 'group' ? 'groups' : 'users'}/${encodeURIComponent(name)}`}>{via}</a>;
}

function Ways({ caption, rows }: { caption: string; rows: readonly (Way & { user?: string })[] }) {
  const isOfMany = rows.some(({ user }) => user !== undefined);
  return (
    <Table
      caption={caption}
      rows={rows}
      keyOf={({ user, rbac, via, binding }) => [user, rbac, via, binding].join(' ')}
      columns={[
        ...(isOfMany ? [{ head: 'User', cell: ({ user = '' }: { user?: string }) => user }] : []),
        { head: 'Binding', cell: ({ binding }) => <code>{binding}</code> },
        { head: 'By way of', cell: ({ via }) => <Via via={via} /> },
        {
          head: 'Document',
          cell: ({ rbac }) =>
            rbac === '' ? 'it is their own' : <a href={`/ui/r/rbac/${encodeURIComponent(rbac)}`}>{rbac}</a>,
        },
      ]}
    />
  );
}

/** The same for whoever it is about: a verdict, then each way that leads to it. */
function Verdict({ whom, review: { allowed, why, limitedBy } }: { whom: string; review: ReviewView }) {
  return (
    <>
      <p role="status">
        <strong>{allowed ? 'Yes' : 'No'}</strong>
        {': '}
        {allowed
          ? `${whom} may.`
          : limitedBy === undefined
            ? `nothing that is granted to ${whom}, to a group or to everyone lets that.`
            : `limited by ${limitedBy}.`}
      </p>
      {why.length > 0 && <Ways caption="By what" rows={why} />}
    </>
  );
}

function Holders({ question }: { question: object }) {
  const holders = useLoad<WhoCanView>('/access/who-can', undefined, question);
  return (
    <>
      <h2>Everybody who may</h2>
      <Loaded of={holders}>
        {({ items, more }) =>
          items.length === 0 ? (
            <Empty why="Nobody who is enabled may do that." />
          ) : (
            <>
              <Ways
                caption="Who may"
                rows={items.flatMap(({ user, why }) => why.map((way) => ({ user, ...way })))}
              />
              {more && <p class="quiet">There are others after these.</p>}
            </>
          )
        }
      </Loaded>
    </>
  );
}

/** May somebody do that, and by what? Of others for who may see users, groups and rights. */
export function Access() {
  const asked = (name: string, other: string): string => query.value.get(name) ?? other;
  const [verb, resource, name, as] = [
    asked('verb', 'run'),
    asked('resource', 'llm'),
    asked('name', ''),
    asked('as', ''),
  ];
  const mayAsk = ['user', 'group', 'rbac'].every((word) => may('view', word));
  const question = { verb, resource, ...(name === '' ? {} : { name }) };
  const review = useLoad<ReviewView>('/access/review', undefined, as === '' ? question : { ...question, as });
  const words = [...new Set([resource, ...catalogue.value.map(({ word }) => word)])].sort();
  const whom = as === '' ? (who.value?.user ?? 'you') : as;
  const what = `${resource}${name === '' ? '' : `/${name}`}`;
  return (
    <Screen
      title="Who may what"
      command={shell`mcpctl auth why ${verb} ${what} ${as === '' ? [] : ['--as', as]}`}
    >
      <div class="filters">
        {mayAsk && <Typed name="as" label="May (a user; else you)" />}
        <Chosen name="verb" label="Do" options={verbs.map((one) => [one, one] as const)} value={verb} />
        <Chosen
          name="resource"
          label="To"
          options={words.map((one) => [one, one] as const)}
          value={resource}
        />
        <Typed name="name" label="Called (else: any)" />
      </div>
      <Loaded of={review}>{(data) => <Verdict whom={whom} review={data} />}</Loaded>
      {mayAsk && <Holders question={question} />}
    </Screen>
  );
}
