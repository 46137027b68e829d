/**
 * The most that each may have so that all together have no more than `total`: who has less keeps all of it, and the
 * others are alike. `Infinity` where all of it fits.
 */
export function fairShare(amounts: readonly number[], total: number): number {
  let left = total;
  let others = amounts.length;
  for (const amount of [...amounts].sort((a, b) => a - b)) {
    const share = left / others;
    if (amount > share) return share;
    left -= amount;
    others -= 1;
  }
  return Infinity;
}
