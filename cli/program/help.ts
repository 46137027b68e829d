/** What `mcpctl --help` begins with. */
export const examples = `Examples:
  mcpctl get llm
  mcpctl chat-llm tiny-chat
  mcpctl task list --watch
`;

/** And what it ends with. */
export const seeAlso = `
More: mcpctl help COMMAND, mcpctl help environment, mcpctl help exit-codes, and docs/cli.md.`;

/** What bare `mcpctl` says. */
export const shortHelp = `mcpctl: publish the llms that run on your own machines, pool them, call them through one door.

  mcpctl status                    is the server there, and who am I
  mcpctl get llm                   what can be called
  mcpctl chat-llm NAME             talk to it
  mcpctl chat AGENT                talk to an agent, in a thread that is kept
  mcpctl connect openai NAME       what another program needs to call it
  mcpctl task list                 what ran, and what waits
  mcpctl login --server URL        use another server
  mcpctl completion SHELL          what your shell needs to complete all this

No server yet? "npm start" in the checkout runs one on this machine.
All commands: mcpctl --help
`;

const environment = `Environment variables that mcpctl reads:

  MCPCTL_SERVER     the server's URL; --server and --context come first
  MCPCTL_TOKEN      the token; --token-file and --context come first
  MCPCTL_CONTEXT    a context; --server, --context and MCPCTL_SERVER come first
  MCPCTL_CONFIG     another file with contexts than $MCPCTL_HOME/cli.json
  MCPCTL_HOME       the folder with cli.json and credentials; ~/.mcpctl if not set
  MCPCTL_CA_FILE    a PEM file with further certificate authorities to trust
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY   the proxy to the server, and who is reached without it
  MCPCTL_DEBUG      "api" traces every call on stderr, without secrets
  XDG_CACHE_HOME    the folder for names that completion remembers; $MCPCTL_HOME/cache if not set
  NO_COLOR          any text turns colours off
  FORCE_COLOR       any text but 0 turns them on in a pipe, too; so does CLICOLOR_FORCE
  TERM              "dumb" turns colours and the status line off

Which server and token: flag, then environment, then the context that .mcpctl.json here or above names, then the
current context of cli.json ("mcpctl login"), then $MCPCTL_HOME/credentials ("npm start" writes it), then the server
of /etc/mcpctl/cli.json. A stored token is only ever sent to its own server.
`;

const exitCodes = `Exit codes of mcpctl:

  0   it worked; nothing found is no failure
  1   it failed: the sentence on stderr says why, its code in brackets (docs/errors.md)
  2   the command was not understood, or you cancelled it
  3   the answer is no: "diff" found something that differs
  4   not authenticated: the sentence on stderr says how to mend that
  5   a tool that "call" has called says that it failed
`;

/** \`mcpctl help <topic>\`. */
export const topics = [
  { name: 'environment', text: environment },
  { name: 'exit-codes', text: exitCodes },
] as const;
