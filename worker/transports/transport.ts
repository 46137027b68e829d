import type { Service } from '../../core/runtime/process/service.ts';
import type { ServerOrder } from '../../core/mcp/process/orders.ts';
import type { WakeResult } from '../../core/member/wake.ts';
import type { Member } from '../work/execute.ts';
import type { Gate } from '../work/gate.ts';
import type { Slots } from '../../core/member/slots.ts';

export interface ServedMember {
  member: Member;
  /** Of the member's backend; members of one backend share it. */
  slots: Slots;
  /** Whether the member takes tasks now. The transport hears of its changes, and announces them. */
  gate: Gate;
}

/** Wakes the backend of an llm of this worker (docs/spec.md §4): one recipe run, however often it is asked meanwhile. */
export type Wake = (llmName: string) => Promise<WakeResult>;

/** Does something about the process of one of its MCP servers, and says what came of it. Must not throw. */
export type Ordered = (order: {
  orderId: string;
  llmName: string;
  order: ServerOrder;
  /** Of `logs`: behind which place of what was printed. */
  after?: string | undefined;
}) => void;

/**
 * How a worker gets its tasks and says their answers. The transports behave the same to everybody else.
 * `start` connects; `stop` takes nothing new, lets what runs finish within the grace, hands the rest back.
 */
export interface Transport extends Service {
  readonly kind: 'redis' | 'sse';
  /** Serves exactly these members from now on; what runs for others goes on to its end. */
  serve(members: readonly ServedMember[]): Promise<void>;
  /** Whether the server says that nothing new is to be taken; what runs goes on. */
  hold(isHeld: boolean): void;
  /** Tells everybody the state of the members as it is now. Never throws; bounded by a second or so. */
  announce(): Promise<void>;
  /** Takes nothing new from now on; resolves when what runs has ended, however long that takes. */
  drain(): Promise<void>;
  /**
   * Another transport serves from now on: takes nothing and tells nothing of the members any more; resolves when what
   * runs has ended.
   */
  retire(): Promise<void>;
  /** Another process has the session: nothing is taken, and what runs is handed back, until `serve` is called again. */
  yieldSession(): void;
  /** Everything that is open may be dead (the machine slept, or is on another network): opens it anew. */
  reopen(): void;
  /** Whether it can reach what it takes its tasks from, now. */
  isConnected(): boolean;
  /** What runs for this llm is broken off and handed back: its owner keeps it from now on. */
  giveBack(llmName: string): void;
  /** Tasks that run for this llm now. */
  running(llmName: string): number;
}
