import type { Binding } from '../../core/mcp/bindings.ts';
import { useLoad } from '../net/load.ts';
import type { Page } from '../net/api.ts';
import { Empty, Loaded } from '../parts/loaded.tsx';
import { Screen, shell } from '../parts/page.tsx';
import { Table } from '../parts/table.tsx';
import { Status } from '../shown/status.tsx';

interface Server {
  name: string;
  kind: string;
  status: string;
  reason: string | null;
  tools: string[];
  update: string | null;
}

interface Project {
  name: string;
  gate: string;
  servers: Binding[];
  unbound: string[];
}

const at = (path: string, name: string): string => `/ui/${path}/${encodeURIComponent(name)}`;

function Servers({ servers }: { servers: readonly Server[] }) {
  return (
    <Table
      caption="MCP servers"
      rows={servers}
      keyOf={({ name }) => name}
      columns={[
        { head: 'Server', cell: ({ name }) => <a href={at('r/servers', name)}>{name}</a> },
        {
          head: 'Status',
          cell: ({ status, reason }) => (
            <>
              <Status of={status} /> {reason !== null && <span class="quiet">{reason}</span>}
            </>
          ),
        },
        { head: 'Kind', wide: true, cell: ({ kind }) => kind },
        { head: 'Tools', number: true, cell: ({ tools }) => tools.length },
        { head: 'Newer template', wide: true, cell: ({ update }) => update ?? '–' },
        { head: 'Run by', cell: ({ name }) => <a href={at('pools', `mcp.${name}`)}>its workers</a> },
      ]}
    />
  );
}

/** What a project takes of a server, in words. */
function policyOf({ tools, readOnly, pin }: Binding): string {
  const { allow, deny } = tools ?? {};
  const parts = [
    ...(readOnly === true ? ['read only'] : []),
    ...(allow && allow.length > 0 ? [`only ${allow.join(', ')}`] : []),
    ...(deny && deny.length > 0 ? [`not ${deny.join(', ')}`] : []),
    ...(pin ? [`pin ${pin}`] : []),
  ];
  return parts.length === 0 ? 'all tools' : parts.join('; ');
}

const calledOf = ({ server, alias }: Binding): string =>
  alias === undefined || alias === server ? server : `${server} as ${alias}`;

function Projects({ projects }: { projects: readonly Project[] }) {
  return (
    <Table
      caption="Projects with MCP servers"
      rows={projects}
      keyOf={({ name }) => name}
      columns={[
        { head: 'Project', cell: ({ name }) => <a href={at('r/projects', name)}>{name}</a> },
        {
          head: 'Servers, and what it takes of them',
          cell: ({ servers, unbound }) => (
            <>
              {servers.map((binding) => (
                <div key={binding.server}>
                  {calledOf(binding)} <span class="quiet">{policyOf(binding)}</span>
                </div>
              ))}
              {unbound.map((why) => (
                <div key={why} class="quiet">
                  ⚠ {why}
                </div>
              ))}
            </>
          ),
        },
        { head: 'Gate', wide: true, cell: ({ gate }) => gate },
        { head: 'Traffic', cell: ({ name }) => <a href={at('mcp', name)}>what clients ask</a> },
      ]}
    />
  );
}

/** Which MCP servers there are and whether they serve, and which projects have what of them. */
export function Mcp() {
  const servers = useLoad<Page<Server>>('/servers?limit=200', 'pools');
  const projects = useLoad<Page<Project>>('/projects?limit=200');
  return (
    <Screen title="MCP" command={shell`mcpctl get servers`}>
      <Loaded of={servers}>
        {({ items, next }) =>
          items.length === 0 ? (
            <Empty why="No MCP server that you may see.">
              <p>
                <code>mcplocal mcp add PACKAGE@VERSION</code> publishes one of this machine;{' '}
                <a href="/ui/r/templates">a template</a> has one run by a hosted worker (
                <code>mcpctl create server NAME --from-template X</code>).
              </p>
            </Empty>
          ) : (
            <>
              <Servers servers={items} />
              {next !== null && <More of="servers" />}
            </>
          )
        }
      </Loaded>
      <h2>In projects</h2>
      <Loaded of={projects}>
        {({ items, next }) => {
          const having = items.filter((one) => one.servers.length > 0);
          return having.length === 0 ? (
            <Empty why="No project that you may see has any.">
              <p>
                <a href="/ui/r/projects">Make a project</a> that has one, and clients find its tools at{' '}
                <code>/mcp/projects/NAME</code>.
              </p>
            </Empty>
          ) : (
            <>
              <Projects projects={having} />
              {next !== null && <More of="projects" />}
            </>
          );
        }}
      </Loaded>
    </Screen>
  );
}

const More = ({ of }: { of: string }) => (
  <p class="quiet">
    There are more: <a href={`/ui/r/${of}`}>all {of}</a>.
  </p>
);
