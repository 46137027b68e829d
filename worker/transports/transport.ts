import type { Service } from '../../core/runtime/service.ts';
import type { Member } from '../execute.ts';
import type { Slots } from '../slots.ts';

export interface ServedMember {
  member: Member;
  /** Of the member's backend; members of one backend share it. */
  slots: Slots;
}

/** How a worker gets its tasks and says their answers. The transports behave the same to everybody else. */
export interface Transport extends Service {
  /** Serves exactly these members from now on; what runs for others goes on to its end. */
  serve(members: readonly ServedMember[]): Promise<void>;
}
