import { standBefore } from './stand-before.ts';

/** What becomes of a statement: an SQLSTATE said in its place, unread; or it is done, and its connection cut before it says so. */
type Fault = (typeof kinds)[number];
const kinds = ['40001', 'unanswered', '53100', '55P03', '57P01', '53200', 'XX000'] as const;
const sentences: Record<Exclude<Fault, 'unanswered'>, string> = {
  '40001': 'could not serialize access due to concurrent update',
  '53100': 'could not extend file: No space left on device',
  '53200': 'out of memory',
  '55P03': 'canceling statement due to lock timeout',
  '57P01': 'terminating connection due to administrator command',
  XX000: 'something that nobody has thought of',
};

/** Which of its kind fail. */
const failing: ReadonlySet<number> = new Set([1, 3, 6, 10]);
/** What a connection, or a transaction, begins and ends with beside its commit: without these nothing else is ever come to. */
const spared = /^(set |rollback|begin)/i;

export interface FailingPostgres {
  port: number;
  /** From now on each statement fails now and then, in its first occurrences. */
  begin(): void;
  end(): void;
  /** How often each statement was failed; by its text, without its numbers. */
  failed(): ReadonlyMap<string, number>;
  close(): Promise<void>;
}

/** Stands before a Postgres without TLS, and makes each statement fail. */
export async function failingPostgres({
  host,
  port,
}: {
  host: string;
  port: number;
}): Promise<FailingPostgres> {
  const seen = new Map<string, number>();
  const failed = new Map<string, number>();
  let isOn = false;
  let nth = 0;

  const faultOf = (sql: string): Fault | null => {
    if (!isOn || spared.test(sql)) return null;
    const kind = sql.replace(/\s+/g, ' ').replace(/\d+/g, '').slice(0, 120);
    const count = (seen.get(kind) ?? 0) + 1;
    seen.set(kind, count);
    if (!failing.has(count)) return null;
    failed.set(kind, (failed.get(kind) ?? 0) + 1);
    nth += 1;
    return kinds[nth % kinds.length] ?? null;
  };

  const { port: own, close } = await standBefore({ host, port }, (client, upstream) => {
    const prepared = new Map<string, string>();
    let asked = Buffer.alloc(0);
    let hasBegun = false;
    let isInTransaction = false;
    /** The messages of one query, up to the one that asks for its answer. */
    let query: Buffer[] = [];
    let sql = '';
    let isCut = false;
    const ask = (): void => {
      const fault = faultOf(sql);
      const named = query.some((message) => isOf(message, 'P') && textAt(message, 5) !== '');
      if (fault === null || (fault !== 'unanswered' && named)) upstream.write(Buffer.concat(query));
      else if (fault === 'unanswered') {
        isCut = true;
        upstream.write(Buffer.concat(query));
      } else {
        client.write(errorOf(fault, isInTransaction));
        if (fault === '57P01') client.end();
      }
      if (fault === null)
        isInTransaction = /^begin/i.test(sql) || (isInTransaction && !/^(commit|rollback)/i.test(sql));
      [query, sql] = [[], ''];
    };
    client.on('data', (bytes: Buffer) => {
      asked = Buffer.concat([asked, bytes]);
      for (;;) {
        const from = hasBegun ? 1 : 0;
        if (asked.length < from + 4) return;
        const end = from + asked.readUInt32BE(from);
        if (asked.length < end) return;
        const message = asked.subarray(0, end);
        asked = asked.subarray(end);
        if (!hasBegun) {
          hasBegun = true;
          upstream.write(message);
          continue;
        }
        const type = String.fromCharCode(message[0] ?? 0);
        if (!'QPBDESC'.includes(type)) {
          upstream.write(message);
          continue;
        }
        query.push(message);
        if (type === 'Q') sql = textAt(message, 5);
        if (type === 'P') {
          const name = textAt(message, 5);
          sql = textAt(message, 5 + name.length + 1);
          if (name !== '') prepared.set(name, sql);
        }
        if (type === 'B') {
          const portal = textAt(message, 5);
          sql ||= prepared.get(textAt(message, 5 + portal.length + 1)) ?? '';
        }
        if (type === 'Q' || type === 'S') ask();
      }
    });
    upstream.on('data', (bytes: Buffer) => {
      if (isCut) client.destroy();
      else client.write(bytes);
    });
  });
  return {
    port: own,
    begin: () => void (isOn = true),
    end: () => void (isOn = false),
    failed: () => failed,
    close,
  };
}

const isOf = (message: Buffer, type: string): boolean => message[0] === type.charCodeAt(0);

/** Up to the zero that ends it. */
function textAt(message: Buffer, at: number): string {
  return message.toString('utf8', at, message.indexOf(0, at));
}

/** An error, and that the connection is ready for the next statement. */
function errorOf(state: Exclude<Fault, 'unanswered'>, isInTransaction: boolean): Buffer {
  const severity = state === '57P01' ? 'FATAL' : 'ERROR';
  const fields = Buffer.from(`S${severity}\0V${severity}\0C${state}\0M${sentences[state]}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeUInt32BE(fields.length + 4, 1);
  const ready = Buffer.from(`Z\0\0\0\x05${isInTransaction ? 'E' : 'I'}`, 'latin1');
  return Buffer.concat([head, fields, ready]);
}
