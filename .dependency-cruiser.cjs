/** Who may import whom: docs/architecture.md has the table, this file holds it. Types count as imports. */
const processes = '^(edge|worker|scheduler|cli|start)/';
const product = '^(core|edge|worker|scheduler|cli|start)/|^knexfile[.]ts$';
/** Not peers, but what peers are written against. */
const shared = '(route|duty|transport|command|provider|adapt|failed|patience)[.]ts$|http/';
/** What everybody may know: it knows no store, no process and no clock. */
const pure =
  '^core/([^/]+|(access|audit|backup|operator|declared|resources|resources/people|resources/talk|resources/mcp|text|task|member|agent|mcp|mcp/[a-z]+|mcp/pipeline/redact)/[^/]+)[.]ts$';
const packages = (names) => `(^|/)node_modules/(${names})/`;

/** A package that only one place may import; tests may look behind the door. */
const door = (name, names, owners) => ({
  name,
  severity: 'error',
  from: { path: product, pathNot: owners },
  to: { path: packages(names) },
});

const forbid = (name, from, to) => ({ name, severity: 'error', from, to });

module.exports = {
  forbidden: [
    forbid('no-cycles', {}, { circular: true }),
    forbid('nobody-imports-a-main', {}, { path: '(^|/)main[.]ts$' }),
    forbid('no-test-code-in-production', { path: product }, { path: '^(test|bench)/' }),
    forbid('processes-are-islands', { path: processes }, { path: processes, pathNot: '^$1/' }),

    forbid('core-is-pure', { path: pure }, { pathNot: `${pure}|${packages('zod')}` }),
    forbid(
      'runtime-stays-below',
      { path: '^core/runtime/' },
      { path: '^(core/[^/]+/|edge/|worker/|scheduler/|cli/|start/)', pathNot: `^core/runtime/|${pure}` },
    ),
    forbid(
      'doors-do-not-meet',
      { path: '^core/(registry|queue)/' },
      {
        path: '^(core/[^/]+/|edge/|worker/|scheduler/|cli/|start/)',
        pathNot: `^core/($1|runtime)/|${pure}`,
      },
    ),
    // What is generic knows no single resource: it is handed definitions.
    forbid(
      'generic-is-generic',
      { path: '^(core/registry|edge|cli)/resources/' },
      { path: '^core/resources/', pathNot: '^core/resources/(define|index|catalogue)[.]ts$' },
    ),
    // What a browser gets: of ours it takes types of what is pure, which leave nothing in the bundle.
    forbid(
      'web-takes-types-only',
      { path: '^web/' },
      { path: '^(core|edge|worker|scheduler|cli|start|test|bench)/', dependencyTypesNot: ['type-only'] },
    ),
    forbid(
      'web-takes-what-is-pure',
      { path: '^web/' },
      { path: '^(core|edge|worker|scheduler|cli|start)/', pathNot: pure },
    ),
    forbid('nobody-imports-the-page', { path: product }, { path: '^web/|(^|/)node_modules/@?preact' }),
    forbid('flow-is-core', { path: '^core/flow/' }, { path: '^(edge|worker|scheduler|cli|start)/' }),
    forbid('flow-is-for-edge-and-scheduler', { path: '^(worker|cli|start)/' }, { path: '^core/flow/' }),
    forbid(
      'worker-never-touches-postgres',
      { path: '^worker/', pathNot: '^worker/sources/registry[.]ts$' },
      { path: '^core/registry/' },
    ),
    forbid('cli-and-start-are-clients', { path: '^(cli|start)/' }, { path: '^core/(registry|queue|flow)/' }),

    door('door-to-postgres', 'knex|pg|pg-[^/]+', '^core/registry/|^knexfile[.]ts$'),
    door('door-to-redis', 'ioredis|bullmq', '^core/queue/'),
    // Whoever has no connection to Redis can send it nothing: the relay has its own still (docs/decisions/0002).
    forbid(
      'redis-behind-its-door',
      { path: '^(edge|scheduler|core/flow)/', pathNot: '^edge/relay/' },
      { path: '^core/queue/(link/connect|scripts)[.]ts$' },
    ),
    door('door-to-express', 'express|helmet|@types/express', '^edge/'),
    door('door-to-commander', 'commander|@commander-js', '^cli/'),
    door('door-to-yaml', 'yaml', '^cli/|^core/runtime/files/template-files[.]ts$'),

    // Peers are strangers. Files that begin with the same word are one of them: tasks.ts, tasks-stream.ts.
    // index.ts is the table that lists them; their contract and what all of them need are named above.
    forbid(
      'peers-are-strangers',
      {
        path: '^(edge/routes|scheduler/duties|worker/providers|worker/transports|cli/commands)/([a-z0-9]+)',
        pathNot: '/index[.]ts$',
      },
      { path: '^$1/', pathNot: `^$1/($2[-./]|${shared})` },
    ),

    forbid('everything-resolves', {}, { couldNotResolve: true }),
    forbid(
      'production-needs-no-dev-dependency',
      { path: product, pathNot: '^start/boot/(bundle|web)[.]mjs$' }, // a step of the build, which typescript is needed for as well
      { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: '/@types/' },
    ),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|[.]boot)/|^bench/peers/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
};
