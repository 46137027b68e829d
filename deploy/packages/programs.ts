/** One of the packages that are made of this tree: what is in it follows from the files that it starts with. */
export interface Program {
  name: 'mcpctl' | 'mcplocal' | 'mcpd';
  /** One line, of at most 60 characters: what `apt search` and `npm search` show. */
  summary: string;
  /** What people read who look at the package alone. */
  about: string;
  /** Commands, and the files of `dist/` that they are. The first is the package's own. */
  bin: Readonly<Record<string, string>>;
  /** Packages that are installed where they can be, and without which the rest works. */
  optional: readonly string[];
  /** Packages that some file asks for which this package is not made for; whoever reaches it is told so in a sentence. */
  elsewhere: readonly string[];
  /** The source of what is a single file with Node in it, too. */
  single?: string;
}

export const programs: readonly Program[] = [
  {
    name: 'mcpctl',
    summary: 'command line of mcpctl: call and look after shared LLMs',
    about:
      'Calls the LLMs that people publish from their own machines through one OpenAI-compatible door, and looks after pools, tasks, agents, users and grants. It needs the address of a server (mcpd) and a token.',
    bin: { mcpctl: 'cli/main.js' },
    optional: [],
    elsewhere: [],
    single: 'cli/main.ts',
  },
  {
    name: 'mcplocal',
    summary: 'worker of mcpctl: publish the LLMs of this machine',
    about:
      'Runs beside Ollama, LM Studio, vLLM or llama.cpp, publishes the models that its owner marks in a server (mcpd), and answers the calls that come. It connects outwards only: nothing listens, and neither the address nor the key of a model server leaves the machine. Nothing starts or updates by itself.',
    bin: { mcplocal: 'worker/main.js' },
    // Who takes tasks from Redis: the operator's own machines. Everybody else goes through the edge.
    optional: ['bullmq', 'ioredis'],
    // A hosted worker reads the registry: the operator's, who has mcpd.
    elsewhere: ['knex', 'pg'],
    single: 'worker/main.ts',
  },
  {
    name: 'mcpd',
    summary: 'server of mcpctl: edge, scheduler, hosted worker',
    about:
      'The server of mcpctl: mcpd-edge answers HTTP, mcpd is the scheduler ("mcpd release" sets Postgres up, "mcpd restore" restores a backup), mcpd-relay is the workers’ port of its own, mcpd-worker serves public LLMs. It needs Postgres and Redis.',
    bin: {
      mcpd: 'scheduler/main.js',
      'mcpd-edge': 'edge/main.js',
      'mcpd-relay': 'edge/relay-alone/main.js',
      'mcpd-worker': 'worker/main.js',
    },
    optional: [],
    elsewhere: [],
  },
];
