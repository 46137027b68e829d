/** The value below which a share of the values lies (nearest rank). */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Of one series: median and p99 of each round, and over the rounds. */
export interface Summary {
  n: number;
  min: number;
  p50: number;
  p99: number;
  max: number;
  rounds: { p50: number; p99: number }[];
}

export function summary(rounds: readonly (readonly number[])[]): Summary {
  const all = rounds.flat();
  return {
    n: all.length,
    min: quantile(all, 0),
    p50: median(all),
    p99: quantile(all, 0.99),
    max: quantile(all, 1),
    rounds: rounds.map((round) => ({ p50: median(round), p99: quantile(round, 0.99) })),
  };
}

/** What comes of comparing round by round. */
export interface Spread {
  median: number;
  least: number;
  most: number;
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), least: quantile(values, 0), most: quantile(values, 1) };
}

/** Of the straight line through these points (least squares); NaN for fewer than two. */
export function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (at: 0 | 1): number => points.reduce((sum, point) => sum + point[at], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const up = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  const along = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  return along > 0 ? up / along : Number.NaN;
}
