import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { BackendLine, ClientLine, WorldLine } from './lines.ts';

type Without<T> = T extends unknown ? Omit<T, 'at'> : never;

/** The append-only logs of one trial: a folder with a file for callers, one for backends, one for fate. */
export interface Journal {
  folder: string;
  client(line: Without<ClientLine>): void;
  backend(line: Without<BackendLine>): void;
  world(line: Without<WorldLine>): void;
  /** Everything written so far, read back from the files. */
  read(): { clients: ClientLine[]; backends: BackendLine[]; world: WorldLine[] };
  close(): void;
}

const names = { clients: 'callers.ndjson', backends: 'backends.ndjson', world: 'world.ndjson' } as const;

export function openJournal(folder: string): Journal {
  mkdirSync(folder, { recursive: true });
  const open = (name: string): number => openSync(join(folder, name), 'a');
  const files = { clients: open(names.clients), backends: open(names.backends), world: open(names.world) };
  const write = (file: number, line: object): void => {
    writeSync(file, `${JSON.stringify({ at: performance.now(), ...line })}\n`);
  };
  const read = <T>(name: string): T[] =>
    readFileSync(join(folder, name), 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as T);
  let open_ = true;
  const guarded = (file: number, line: object): void => {
    if (open_) write(file, line); // a socket that closes after the trial has nothing to add
  };
  return {
    folder,
    client: (line) => guarded(files.clients, line),
    backend: (line) => guarded(files.backends, line),
    world: (line) => guarded(files.world, line),
    read: () => ({ clients: read(names.clients), backends: read(names.backends), world: read(names.world) }),
    close() {
      open_ = false;
      Object.values(files).forEach(closeSync);
    },
  };
}

/** What the processes of the product logged into these folders. */
export function logsIn(folders: readonly string[]): { process: string; line: string }[] {
  const own: readonly string[] = Object.values(names);
  return [...new Set(folders)].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.ndjson') && !own.includes(name))
      .flatMap((name) => {
        const lines = readFileSync(join(folder, name), 'utf8').split('\n');
        return lines.map((line) => ({ process: name.replace('.ndjson', ''), line }));
      }),
  );
}

/** Keeps what the checker was given beside the logs. */
export function keep(folder: string, name: string, value: unknown): void {
  appendFileSync(join(folder, name), `${JSON.stringify(value, undefined, 2)}\n`);
}
