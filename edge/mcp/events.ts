/** What happened to a request beside its answer, for who watches a project: no text of a prompt, and none of a caller. */
export type McpEvent =
  /** It did not run: its caller is to be told the project's prompts first. */
  | { kind: 'gated' }
  | {
      kind: 'briefed';
      /** What told them: `begin_session`, or the first result. */
      by: 'begin_session' | 'first result';
      /** Of the prompts. */
      revision: string;
      /** The llm that chose; null: the words of the task did. */
      llm: string | null;
      chosen: readonly { name: string; why: string }[];
      /** How many were only listed. */
      listed: number;
      dead: readonly string[];
    }
  /** Prompts that were asked for by name or by tags. */
  | { kind: 'read'; names: readonly string[] };
