/** Of one user, and in all: each holds its text so far. */
const [OF_ONE, IN_ALL] = [32, 256];

/** Turns of threads that this edge reads on to their end though their callers have left. */
export interface LeftTurns {
  /** @returns the way to leave it again; null where there is no room. */
  enter(userId: string): (() => void) | null;
}

export function createLeftTurns(): LeftTurns {
  const ofUsers = new Map<string, number>();
  let inAll = 0;
  const add = (userId: string, by: 1 | -1): void => {
    inAll += by;
    const count = (ofUsers.get(userId) ?? 0) + by;
    if (count === 0) ofUsers.delete(userId);
    else ofUsers.set(userId, count);
  };
  return {
    enter(userId) {
      if (inAll >= IN_ALL || (ofUsers.get(userId) ?? 0) >= OF_ONE) return null;
      add(userId, 1);
      return () => add(userId, -1);
    },
  };
}
