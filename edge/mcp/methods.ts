import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { completeSchema, getPromptSchema, readResourceSchema } from '../../core/mcp/call.ts';
import { titlesBy } from '../../core/mcp/pipeline/settings.ts';
import type { McpProject } from '../../core/registry/mcp/servers.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { enterInTurn, takeTurn } from '../limits/turns.ts';
import type { Asked, McpEdge } from './asked.ts';
import { wakeLlm } from './briefing/ask-llm.ts';
import { instructionsOf, isHidden, passGate } from './briefing/gate.ts';
import { listOwnPrompts, ownPromptNamed } from './briefing/project-prompts.ts';
import { failureOf } from './call/call-form.ts';
import { listenFor } from './listen.ts';
import { initialize } from './legs/legacy.ts';
import { modernRevisions, RESOURCE_MISSING } from './legs/leg.ts';
import { paramFault } from './legs/modern.ts';
import { runCall } from './call/run-call.ts';
import { beginSession } from './own/begin-session.ts';
import type { OwnTool } from './own/own-tool.ts';
import { ownToolsOf } from './own/own-tools.ts';
import { isPageUri, pageOfUri, pageTemplatesOf } from './own/read-page.ts';
import { idSchema, rpcErrors } from './rpc.ts';
import { listPrompts, listResources, promptNamed, serverOfUri } from './offers.ts';
import { before, listed, pageOf, type Listing } from './paged.ts';
import { subscribe, unsubscribe } from './subscribe/subscribe.ts';
import { listTools, serversFor, toolNamed, viewerOf, type Viewer } from './tools.ts';

type Method = (deps: McpEdge, asked: Asked) => Promise<void>;

const metaSchema = z
  .looseObject({
    'mcpctl.dev/idempotencyKey': z.string().min(1).max(255).optional(),
    progressToken: idSchema.optional().catch(undefined),
  })
  .optional();
const toolCallSchema = z.looseObject({
  name: z.string().max(256),
  arguments: z.record(z.string(), z.unknown()).optional(),
  _meta: metaSchema,
});

/** What a project says of itself before anything is asked. */
const aboutOf = (asked: Asked): object => ({
  capabilities: {
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { listChanged: true, subscribe: true },
    completions: {},
  },
  ...instructionsIn(asked),
});

function instructionsIn({ project, leg }: Asked): { instructions?: string } {
  const texts = [project.description, instructionsOf({ project, leg }) ?? ''].filter((text) => text !== '');
  return texts.length === 0 ? {} : { instructions: texts.join('\n\n') };
}

/** Who answers, as clients show it. */
export const serverInfo = (deps: Pick<EdgeDeps, 'version'>, project: McpProject): object => ({
  name: 'mcpctl',
  title: `mcpctl: ${project.name}`,
  version: deps.version,
});

/** A client begins: the llm that is to title pages for it, or to choose what it is told, may have to be waked. */
function warm(deps: McpEdge, { req, project }: Asked): void {
  const llm = project.gate === 'off' ? titlesBy(project) : project.llm;
  if (llm !== null) void wakeLlm(deps, actorOf(req), llm); // never rejects
}

/** Of all that many servers have, page by page: a few at a time of one user. @param called what the entries are, in the result. */
const listing =
  (called: string, list: (deps: McpEdge, viewer: Viewer, asked: Asked) => Promise<Listing>): Method =>
  async (deps, asked) => {
    const { req, res, leg, id } = asked;
    await takeTurn(deps.gates.lists, req);
    const page = await pageOf(deps, asked, await list(deps, viewerOf(asked), asked));
    if (!page)
      return refuse(asked, 'The cursor is none that this list has given out; list from the beginning.');
    const { items, ...next } = page;
    res.json(leg.result(id, { [called]: items, ...next }, 'list'));
  };

const ofBoth: Readonly<Record<string, Method>> = {
  'tools/list': listing('tools', async (deps, viewer, asked) =>
    listTools(deps, viewer, {
      era: asked.leg.era,
      own: ownToolsOf(viewer.project),
      only: (await isHidden(deps, asked)) ? beginSession.name : null,
    }),
  ),
  'prompts/list': listing('prompts', async (deps, viewer, asked) => {
    const own = await listOwnPrompts(deps, asked);
    const others = (await listPrompts(deps, viewer)).filter(({ name }) => !own.has(name));
    return before([...own.values()], listed(new Map(others.map((prompt) => [prompt.name, prompt]))));
  }),
  'resources/list': listing('resources', (deps, viewer) => listResources(deps, viewer, 'resource')),
  'resources/templates/list': listing('resourceTemplates', async (deps, viewer) =>
    before(pageTemplatesOf(viewer.project), await listResources(deps, viewer, 'template')),
  ),
  'tools/call': callTool,
  'prompts/get': getPrompt,
  'resources/read': readResource,
  'completion/complete': complete,
};

const ofOne: Readonly<Record<Asked['leg']['era'], Readonly<Record<string, Method>>>> = {
  legacy: {
    initialize: (deps, asked) => {
      warm(deps, asked);
      return initialize(deps, asked, { ...aboutOf(asked), serverInfo: serverInfo(deps, asked.project) });
    },
    'resources/subscribe': subscribe,
    'resources/unsubscribe': unsubscribe,
    ping: (_deps, { res, leg, id }) => Promise.resolve(void res.json(leg.result(id, {}, 'other'))),
  },
  modern: {
    'subscriptions/listen': (deps, asked) => listenFor(deps, deps.changes, asked),
    'server/discover': (deps, asked) => {
      warm(deps, asked);
      const { res, leg, id } = asked;
      const result = { supportedVersions: [...modernRevisions], ...aboutOf(asked) };
      return Promise.resolve(void res.json(leg.result(id, result, 'list')));
    },
  },
};

/** Does what a request asks for, and answers it. */
export async function perform(deps: McpEdge, asked: Asked): Promise<void> {
  const { res, leg, id, method } = asked;
  const methods = { ...ofBoth, ...ofOne[leg.era] };
  const perform = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (perform) return await perform(deps, asked);
  res
    .status(leg.unknownStatus)
    .json(leg.error(id, { code: rpcErrors.unknownMethod, message: 'Method not found' }));
}

function refuse({ res, leg, id }: Asked, message: string): void {
  res.json(leg.error(id, { code: rpcErrors.invalidParams, message }));
}

/** One call of a tool: it is run at most once, and what is filtered is not there. */
async function callTool(deps: McpEdge, asked: Asked): Promise<void> {
  const { req, res, leg, id } = asked;
  const parsed = toolCallSchema.safeParse(asked.params);
  if (!parsed.success) return refuse(asked, 'A call names a tool, and its arguments are an object.');
  const { name, arguments: given, _meta: meta } = parsed.data;
  const own = ownToolsOf(asked.project).get(name);
  if (own) return await callOwn(deps, asked, { own, given });
  const tool = await toolNamed(deps, viewerOf(asked), name);
  if (!tool) return refuse(asked, `Unknown tool: ${name.slice(0, 128)}`);
  const fault = leg.era === 'modern' ? paramFault(req, await tool.definition(), given) : null;
  if (fault) return void res.status(400).json(leg.error(id, fault));
  const passage = await passGate(deps, asked, name);
  if (!passage) {
    asked.notes.gated();
    return void res.json(leg.failure(id, new McpctlError('briefing_required')));
  }
  await runCall(deps, asked, {
    ...passage,
    server: tool.server,
    call: {
      method: 'tools/call',
      params: { name: tool.tool, ...(given && { arguments: given }) },
      progress: meta?.progressToken !== undefined,
    },
    from: { text: req.context.text ?? '', value: { params: asked.params } },
    of: 'call',
    progressToken: meta?.progressToken ?? null,
    key: meta?.['mcpctl.dev/idempotencyKey'] ?? null,
  });
}

/** Why one of the gateway's own came to nothing. */
const codeSchema = z.object({ _meta: z.object({ 'mcpctl.dev/code': z.string() }) });

/** A tool of the gateway itself: it counts among its token's open calls, as one of a server does. */
async function callOwn(
  deps: McpEdge,
  asked: Asked,
  { own, given }: { own: OwnTool; given: unknown },
): Promise<void> {
  const { req, res, leg, id } = asked;
  const leave = await enterInTurn(deps.gates.mcpCalls, req, actorOf(req).tokenId);
  try {
    const result = await own.call(deps, asked, given);
    const code = codeSchema.safeParse(result).data?._meta['mcpctl.dev/code'];
    if (code !== undefined) asked.notes.failed(code);
    res.json(leg.result(id, result, 'call'));
  } finally {
    leave();
  }
}

/** What only reads: nobody hears of its progress, and equal ones are not one. */
const reading = { progressToken: null, key: null } as const;

async function getPrompt(deps: McpEdge, asked: Asked): Promise<void> {
  const parsed = getPromptSchema.safeParse(asked.params);
  if (!parsed.success)
    return refuse(asked, 'A prompt is asked for by its name, with arguments that are texts.');
  const { name, arguments: given } = parsed.data;
  const own = await ownPromptNamed(deps, asked, name);
  if (own) return answerOwnPrompt(asked, own);
  const prompt = await promptNamed(deps, viewerOf(asked), name);
  if (!prompt) return refuse(asked, `Unknown prompt: ${name.slice(0, 128)}`);
  const params = { name: prompt.prompt, ...(given && { arguments: given }) };
  await runCall(deps, asked, {
    server: prompt.server,
    call: { method: 'prompts/get', params },
    of: 'other',
    ...reading,
  });
}

function answerOwnPrompt({ res, leg, id }: Asked, own: { result: object } | { dead: string }): void {
  if ('result' in own) return void res.json(leg.result(id, own.result, 'other'));
  const message = `The prompt cannot be read, its link is dead: ${own.dead}.`;
  res.json(failureOf({ leg, id, of: 'other' }, { code: 'prompt_link_dead', message }));
}

const ofUri = (deps: EdgeDeps, viewer: Viewer, uri: string) =>
  serverOfUri(deps, { viewer, servers: serversFor(viewer) }, uri);

async function readResource(deps: McpEdge, asked: Asked): Promise<void> {
  const parsed = readResourceSchema.safeParse(asked.params);
  if (!parsed.success) return refuse(asked, 'A resource is read by its uri.');
  const { uri } = parsed.data;
  const isPage = isPageUri(asked.project, uri);
  const page = isPage ? await pageOfUri(deps, asked, uri) : null;
  if (page) return void asked.res.json(asked.leg.result(asked.id, page, 'read'));
  const server = isPage ? undefined : await ofUri(deps, viewerOf(asked), uri);
  if (!server) {
    const fault = { code: RESOURCE_MISSING, message: 'Resource not found', data: { uri } };
    return void asked.res.json(asked.leg.error(asked.id, fault));
  }
  await runCall(deps, asked, {
    server,
    call: { method: 'resources/read', params: { uri } },
    of: 'read',
    ...reading,
  });
}

async function complete(deps: McpEdge, asked: Asked): Promise<void> {
  const parsed = completeSchema.safeParse(asked.params);
  if (!parsed.success)
    return refuse(asked, 'A completion names a prompt or a template, and an argument of it.');
  const { ref, argument, context } = parsed.data;
  if (ref.type === 'ref/prompt' && (await listOwnPrompts(deps, asked)).has(ref.name))
    return void asked.res.json(asked.leg.result(asked.id, { completion: { values: [] } }, 'other'));
  const at = await refOf(deps, viewerOf(asked), ref);
  if (!at) return refuse(asked, 'Unknown prompt or template.');
  const params = { ref: at.ref, argument, ...(context && { context }) };
  await runCall(deps, asked, {
    server: at.server,
    call: { method: 'completion/complete', params },
    of: 'other',
    ...reading,
  });
}

async function refOf(deps: EdgeDeps, viewer: Viewer, ref: z.infer<typeof completeSchema>['ref']) {
  if (ref.type === 'ref/resource') {
    const server = await ofUri(deps, viewer, ref.uri);
    return server && { server, ref };
  }
  const named = await promptNamed(deps, viewer, ref.name);
  return named && { server: named.server, ref: { ...ref, name: named.prompt } };
}
