import type { McpctlError } from '../../core/errors.ts';
import type { Settings } from '../../core/runtime/settings/settings.ts';

export type RequestCap = 'requests' | 'user_requests' | 'token_requests';

export interface Entered {
  /** How many of the user's are on their way, with this one. */
  inFlight: number;
  /** Says that it has ended; twice is once. */
  leave: () => void;
}

/** Requests that are on their way: of each user and token, and in all. */
export function countRequests(
  {
    maxRequests,
    maxUserRequests,
    maxTokenRequests,
  }: Settings<'maxRequests' | 'maxUserRequests' | 'maxTokenRequests'>,
  refusal: (cap: RequestCap, message: string) => McpctlError,
): { enter: (userId: string, tokenId: string) => Entered } {
  const ofUsers = new Map<string, number>();
  const ofTokens = new Map<string, number>();
  let inAll = 0;
  const add = (counts: Map<string, number>, key: string, n: number): void => {
    const count = (counts.get(key) ?? 0) + n;
    if (count > 0) counts.set(key, count);
    else counts.delete(key);
  };
  const check = (userId: string, tokenId: string): void => {
    if (inAll >= maxRequests) {
      const message = `This edge has ${maxRequests} requests on their way, the most that it takes (MCPCTL_MAX_REQUESTS). Try again later.`;
      throw refusal('requests', message);
    }
    if ((ofUsers.get(userId) ?? 0) >= maxUserRequests) {
      const message = `You have ${maxUserRequests} requests on their way here, the most that one user may (MCPCTL_MAX_USER_REQUESTS). Let some end.`;
      throw refusal('user_requests', message);
    }
    if ((ofTokens.get(tokenId) ?? 0) >= maxTokenRequests) {
      const message = `This token has ${maxTokenRequests} requests on their way here, the most that one may (MCPCTL_MAX_TOKEN_REQUESTS). Let some end.`;
      throw refusal('token_requests', message);
    }
  };
  const count = (userId: string, tokenId: string, n: number): void => {
    inAll += n;
    add(ofUsers, userId, n);
    add(ofTokens, tokenId, n);
  };
  return {
    enter(userId, tokenId) {
      check(userId, tokenId);
      count(userId, tokenId, 1);
      let left = false;
      const leave = (): void => {
        if (!left) count(userId, tokenId, -1);
        left = true;
      };
      return { inFlight: ofUsers.get(userId) ?? 0, leave };
    },
  };
}
