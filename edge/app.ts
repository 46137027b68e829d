import express, { Router, type Express, type RequestHandler } from 'express';
import helmet, { type HelmetOptions } from 'helmet';
import { accessRoutes } from './routes/access.ts';
import { adminRoutes } from './admin/routes.ts';
import type { EdgeDeps } from './deps.ts';
import { authenticate } from './middleware/authenticate.ts';
import { readBody } from './middleware/body.ts';
import { cors } from './middleware/cors.ts';
import { deliver } from './middleware/deliver.ts';
import { answerErrors, noSuchRoute, sayWhereV1Is, withoutV1 } from './middleware/errors.ts';
import { countRequests } from './middleware/finished.ts';
import { checkHost } from './middleware/host.ts';
import { sameHeaders } from './middleware/same-headers.ts';
import { requestId } from './middleware/request-id.ts';
import { slowStrangers } from './middleware/strangers.ts';
import { refuseWhenStopping } from './middleware/stopping.ts';
import { agentRoutes } from './routes/agents.ts';
import { personalityRoutes } from './routes/personalities.ts';
import { applyRoutes } from './routes/apply.ts';
import { auditRoutes } from './routes/audit.ts';
import { backupRoutes } from './routes/backup.ts';
import { eventRoutes } from './routes/events.ts';
import { deviceRoutes } from './routes/devices.ts';
import { explainRoutes } from './routes/explain.ts';
import { joiningRoutes, joinRoutes } from './routes/joining.ts';
import { checkOrigin, mcpRoutes } from './mcp/routes.ts';
import { groupRoutes } from './routes/groups.ts';
import { healthRoutes } from './routes/health.ts';
import { inferRoutes } from './routes/infer.ts';
import { llmRoutes } from './routes/llms.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { openApiRoutes } from './routes/openapi.ts';
import { ollamaRoutes } from './ollama/routes.ts';
import { openAiRoutes } from './openai/routes.ts';
import { poolRoutes } from './routes/pools.ts';
import { providerTaskRoutes, providerUplinkRoutes } from './routes/provider-tasks.ts';
import { providerRoutes } from './routes/providers.ts';
import { secretRoutes } from './routes/secrets.ts';
import { serverRoutes } from './routes/servers.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { resourceRoutes } from './resources/routes.ts';
import { taskStreamRoutes } from './routes/task-stream.ts';
import { taskRoutes } from './routes/tasks.ts';
import { threadKeepingRoutes } from './routes/thread-keeping.ts';
import { templateRoutes } from './routes/templates.ts';
import { threadRoutes } from './routes/threads.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { trafficRoutes } from './routes/traffic.ts';
import { overviewRoutes } from './routes/overview.ts';
import { usageRoutes } from './routes/usage.ts';
import { systemRoutes } from './routes/system.ts';
import { whoamiRoutes } from './routes/whoami.ts';
import { webRoutes } from './web/routes.ts';

type MakeRoutes = (deps: EdgeDeps) => Router;

/**
 * What answers under each door. A route is a peer of the others; add it here.
 * @internal the OpenAPI document is compared with these
 */
export const apiRoutes = [
  llmRoutes,
  inferRoutes,
  taskRoutes,
  taskStreamRoutes,
  explainRoutes,
  eventRoutes,
  poolRoutes,
  sessionRoutes,
  tokenRoutes,
  joiningRoutes,
  groupRoutes,
  secretRoutes,
  serverRoutes,
  trafficRoutes,
  accessRoutes,
  resourceRoutes,
  agentRoutes,
  personalityRoutes,
  applyRoutes,
  backupRoutes,
  auditRoutes,
  templateRoutes,
  threadRoutes,
  threadKeepingRoutes,
  overviewRoutes,
  usageRoutes,
  systemRoutes,
  whoamiRoutes,
];
const v1Routes = [openAiRoutes];

/**
 * Of `/api/v1`, for who has no token.
 * @internal the OpenAPI document is compared with these
 */
export const strangerRoutes = [deviceRoutes, joinRoutes];

/**
 * What workers say goes on while this edge stops: it is how work in flight ends well.
 * @internal
 */
export const workerRoutes = [providerRoutes, providerTaskRoutes];

/**
 * These read their bodies themselves, line by line.
 * @internal
 */
export const uplinkRoutes = [providerUplinkRoutes];

/** What is behind a door, by when it may answer. */
interface Behind {
  /** Before bodies are read: they read their own. */
  uplink?: readonly MakeRoutes[];
  /** Also while this process stops. */
  always?: readonly MakeRoutes[];
  routes: readonly MakeRoutes[];
}

/** Everything behind a door asks who it is first, by a token unless told, then reads the body, then finds its route or is 404. */
function door(deps: EdgeDeps, behind: Behind, who: RequestHandler = authenticate(deps)): Router {
  const { uplink = [], always = [], routes } = behind;
  const router = Router();
  router.use(who);
  for (const make of uplink) router.use(make(deps));
  router.use(readBody(deps));
  for (const make of always) router.use(make(deps));
  router.use(refuseWhenStopping(deps));
  for (const make of routes) router.use(make(deps));
  router.use(noSuchRoute());
  return router;
}

/** Nothing here is a page: no scripts, no frames. TLS, and what it promises, is the platform's. */
const answersOnly: HelmetOptions = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
  },
  strictTransportSecurity: false,
};

interface Doors {
  /** Those that browsers come to with a cookie: no other page may read them, whatever the operator allows. */
  pages?: (app: Express) => void;
  doors: (app: Express) => void;
}

/** What every answer passes through, and the doors between. Opens nothing and listens nowhere. */
function createAppWith(deps: EdgeDeps, { pages, doors }: Doors): Express {
  const app = express();
  app.disable('etag'); // a revision is the ETag, where there is one
  app.disable('x-powered-by');
  app.set('trust proxy', deps.config.trustProxy);
  app.set('query parser', 'simple');
  deliver(app, deps);
  app.use(requestId(deps));
  app.use(countRequests(deps));
  app.use(sameHeaders(helmet(answersOnly)));
  app.use(checkHost(deps.config));
  pages?.(app);
  app.options(/^/, slowStrangers(deps)); // a preflight brings no token
  app.use(cors(deps.config));
  app.all(withoutV1, slowStrangers(deps), sayWhereV1Is());
  doors(app);
  app.use(slowStrangers(deps));
  // Paths without a token take no body: what is sent is not read.
  app.use(healthRoutes(deps));
  app.use(metricsRoutes(deps));
  app.use(openApiRoutes(deps));
  app.use(noSuchRoute());
  app.use(answerErrors(deps));
  return app;
}

const forWorkers = { uplink: uplinkRoutes, always: workerRoutes };

/** The edge's HTTP application. */
export function createApp(deps: EdgeDeps): Express {
  return createAppWith(deps, {
    pages(app) {
      app.use(webRoutes(deps, { api: (who) => door(deps, { routes: apiRoutes }, who) }));
    },
    doors(app) {
      for (const make of strangerRoutes) app.use('/api/v1', make(deps));
      app.use('/api/v1', door(deps, { ...forWorkers, routes: apiRoutes }));
      app.use('/v1', door(deps, { routes: v1Routes }));
      app.use('/api', door(deps, { routes: [ollamaRoutes] }));
      app.use('/mcp', checkOrigin(deps.config), door(deps, { routes: [mcpRoutes] }));
      app.use('/admin', adminRoutes(deps));
    },
  });
}

/** What a relay of its own answers: the calls of workers, and nothing for callers. */
export function createRelayApp(deps: EdgeDeps): Express {
  return createAppWith(deps, {
    doors(app) {
      app.use('/api/v1', door(deps, { ...forWorkers, routes: [] }));
    },
  });
}
