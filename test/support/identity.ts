import type { Answer, EdgeFixture } from './edge.ts';

/** What answers about users, groups and documents have. */
export interface Body {
  code?: string;
  name?: string;
  items?: { name: string; members?: string[] }[];
  members?: unknown;
  token?: string;
  data?: { id: string }[];
}

/** The subject of a document. */
export const forUser = (name: string) => ({ subjects: [{ kind: 'user', name }] });
export const forGroup = (name: string) => ({ subjects: [{ kind: 'group', name }] });
export const ada = forUser('ada');

/** `run:llm:gpt` as bindings of a document. */
export const may = (...bindings: string[]) => ({
  bindings: bindings.map((text) => {
    const [role, resource, name] = text.split(':');
    return { role, resource, ...(name && { name }) };
  }),
});

/** What tests of identity ask of an edge, as root unless told. */
export function identityCalls<B extends { code?: string } = Body>(t: () => EdgeFixture) {
  const api = async (
    call: string,
    body?: unknown,
    token = t().tokens.root,
  ): Promise<Answer & { json: B }> => {
    const [method = '', path = ''] = call.split(' ');
    const answer = await t().call(`${method} /api/v1${path}`, { token, ...(body !== undefined && { body }) });
    return answer as Answer & { json: B };
  };
  /** Status, and code of a refusal. */
  const answerOf = async (call: string, body?: unknown, token?: string): Promise<string> => {
    const { status, json } = await api(call, body, token);
    return [status, ...(status >= 400 ? [json.code] : [])].join(' ');
  };
  const asAda = (call: string, body?: unknown) => answerOf(call, body, t().tokens.ada);
  const asBob = (call: string, body?: unknown) => answerOf(call, body, t().tokens.bob);
  const llm = (name: string, poolName?: string) =>
    api('POST /llms', {
      name,
      type: 'openai',
      model: 'm',
      url: 'http://backend.test/v1',
      ...(poolName && { poolName }),
    });
  const rbac = (name: string, document: object, token?: string) =>
    answerOf('POST /rbac', { name, ...document }, token);
  /** What a user without `everyone` is left with is what names them. */
  const narrow = () => answerOf('DELETE /rbac/everyone');
  return { api, answerOf, asAda, asBob, llm, rbac, narrow };
}
