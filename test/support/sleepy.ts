import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chats, startBackend, type Backend } from './backend.ts';

interface Call {
  method: string;
  headers: IncomingHttpHeaders;
  body: string;
}

/** A backend that sleeps, and the switch that wakes it: a real HTTP server which recipes call. */
export interface Sleepy {
  backend: Backend;
  /** Where the switch is. */
  url: string;
  /** Each is one run of a recipe. */
  calls: Call[];
  /** What the switch answers; with anything else than 2xx the backend sleeps on. */
  status: number;
  /** How long after a call the backend is up. Infinity: it stays asleep. */
  takesMs: number;
  /** Recipes that call the switch. */
  http(more?: object): object;
  command(more?: object): object;
  sleep(): void;
  close(): Promise<void>;
}

/** One run of the command recipe is one call of the switch. */
const callSwitch = `fetch(process.argv[1], { method: 'POST' }).then(
  (answer) => { console.error('the switch said ' + answer.status); process.exit(answer.ok ? 0 : 3); })`;

export async function startSleepy(text = 'awake'): Promise<Sleepy> {
  const backend = await startBackend();
  backend.reply(chats([text]));
  backend.down = true;
  const timers = new Set<NodeJS.Timeout>();
  const server = createServer((req, res) => {
    const pieces: Buffer[] = [];
    req.on('data', (piece: Buffer) => pieces.push(piece));
    req.on('end', () => {
      const { method = '', headers } = req;
      sleepy.calls.push({ method, headers, body: Buffer.concat(pieces).toString() });
      res.writeHead(sleepy.status, { location: 'http://127.0.0.1:9/elsewhere' }).end('a secret answer');
      const wakes = sleepy.status < 300 && Number.isFinite(sleepy.takesMs);
      if (wakes) timers.add(setTimeout(() => (backend.down = false), sleepy.takesMs));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/wake?key=sk-secret`;
  const sleepy: Sleepy = {
    backend,
    url,
    calls: [],
    status: 200,
    takesMs: 0,
    http: (more = {}) => ({ type: 'http', url, maxWaitSeconds: 20, ...more }),
    command: (more = {}) => ({
      type: 'command',
      command: process.execPath,
      args: ['-e', callSwitch, url],
      maxWaitSeconds: 20,
      ...more,
    }),
    sleep: () => void (backend.down = true),
    async close() {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await backend.close();
    },
  };
  return sleepy;
}
