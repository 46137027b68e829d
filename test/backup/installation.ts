import { BackupReader, BackupWriter, linesIn } from '../../core/runtime/backup/lines.ts';
import type { BackupDocument } from '../../core/backup/format.ts';
import type { Keyring } from '../../core/runtime/keyring/keyring.ts';
import type { Answer, EdgeFixture } from '../support/edge.ts';

/** What tests of backups ask of an edge, as root unless told. */
export function backupCalls(t: () => EdgeFixture) {
  const api = (call: string, body?: unknown, token = t().tokens.root): Promise<Answer> => {
    const [method = '', path = ''] = call.split(' ');
    return t().call(`${method} /api/v1${path}`, { token, ...(body !== undefined && { body }) });
  };
  /** What must do. */
  const made = async (call: string, body?: unknown): Promise<Answer> => {
    const answer = await api(call, body);
    if (answer.status >= 300) throw new Error(`${call}: ${answer.text}`);
    return answer;
  };
  const backup = async (how: object = {}): Promise<string> => (await made('POST /backup', how)).text;
  const restore = async (text: string, how: object = {}, token?: string) => {
    const { status, json } = await api('POST /restore', { backup: text, ...how }, token);
    const {
      code,
      items = [],
      details = [],
    } = json as {
      code?: string;
      error?: string;
      items?: { resource: string; name: string; of?: string; outcome: string; why?: string }[];
      details?: { path: string; message: string }[];
    };
    const outcomes = items.map(({ resource, name, outcome }) => `${resource}/${name} ${outcome}`);
    return {
      status,
      code,
      json: json as { error?: string; genuine?: boolean | null },
      outcomes,
      items,
      details,
    };
  };
  return { api, made, backup, restore };
}

/** A small team's: people, groups, grants, a secret, a project and prompts of ada's, a public llm of hers that bob may join. */
export async function fill(
  { made, api }: Pick<ReturnType<typeof backupCalls>, 'made' | 'api'>,
  ada: string,
): Promise<void> {
  await made('POST /users', { name: 'grace' });
  await made('POST /groups', { name: 'gpu', description: 'Who may use the rack' });
  await made('PUT /groups/gpu/members/grace');
  await made('POST /rbac', {
    ...{ name: 'gpu-users', subjects: [{ kind: 'group', name: 'gpu' }] },
    bindings: [{ role: 'view', resource: 'secret', name: 'openai' }],
  });
  await made('PUT /groups/admins/members/grace');
  await made('POST /secrets', { name: 'openai', data: { KEY: 'sk-canary-0123456789' } });
  const own = async (call: string, body: object): Promise<void> => {
    const answer = await api(call, body, ada);
    if (answer.status >= 300) throw new Error(`${call}: ${answer.text}`);
  };
  await made('POST /rbac', {
    ...{ name: 'publishers', subjects: [{ kind: 'user', name: 'ada' }] },
    bindings: [{ role: 'create', resource: 'llm' }],
  });
  const llm = { name: 'tiny', type: 'openai', model: 'm', url: 'https://a.test/v1' };
  await own('POST /llms', { ...llm, poolName: 'small', aliases: ['tiny-too'], description: 'For all.' });
  await own('POST /projects', { name: 'review', description: 'What we look at.' });
  await own('POST /prompts', { name: 'tone', project: 'review', content: 'Be brief.' });
  await own('POST /pools/small/allow', { user: 'bob' });
  await own('POST /agents', { name: 'critic', llm: 'tiny' });
  await made('POST /pools/later/owner', { user: 'bob' });
  await own('POST /prompts', { name: 'alone', content: 'Be kind.' });
}

/** The documents of a backup. */
export function documentsIn(text: string): BackupDocument[] {
  const reader = new BackupReader();
  return [...linesIn(text)].flatMap((line) => reader.take(line) ?? []);
}

/** The same file with other documents, as somebody would make it who has no key to seal it with; or has. */
export function crafted(
  text: string,
  change: (documents: BackupDocument[]) => BackupDocument[],
  { header = {}, keyring = null }: { header?: object; keyring?: Keyring | null } = {},
): string {
  const [first = ''] = linesIn(text);
  const writer = new BackupWriter();
  const lines = [writer.header({ ...(JSON.parse(first) as never as object), ...header } as never)];
  for (const document of change(documentsIn(text))) lines.push(writer.document(document));
  lines.push(writer.trailer(keyring));
  return `${lines.join('\n')}\n`;
}
