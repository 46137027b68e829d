const OLDEST = 7;

/**
 * What Redis says of itself in INFO, judged: `faults` would lose tasks or stop us, each with its fix; `hints` are for
 * the log. What a managed Redis does not tell counts as right.
 */
export function judge(
  info: string,
  { isCluster = false }: { isCluster?: boolean } = {},
): { faults: string[]; hints: string[] } {
  const field = (name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const faults: string[] = [];
  const hints: string[] = [];
  const version = field('redis_version') ?? '0';
  if (Number.parseInt(version, 10) < OLDEST) {
    faults.push(
      `Redis is ${version}; ${OLDEST}.0 or later is needed (sharded channels): upgrade it, or use another one`,
    );
  }
  const role = field('role');
  if (role === 'slave') {
    const primary = `${field('master_host') ?? '?'}:${field('master_port') ?? '?'}`;
    faults.push(
      `it is a replica of ${primary}, which takes no writes: write the primary's address, or that of a proxy that follows it, or name its Sentinels in REDIS_SENTINELS`,
    );
  }
  const mode = field('redis_mode');
  if (mode === 'cluster' && !isCluster) {
    faults.push(
      'it is a node of a Redis Cluster: write several of its nodes, like redis://user:password@n1:6379,n2:6379,n3:6379',
    );
  }
  if (mode === 'sentinel') {
    faults.push(
      'it is a Sentinel, which holds no data: name it and the others in REDIS_SENTINELS, and what they call the primary in REDIS_SENTINEL_NAME',
    );
  }
  const policy = field('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    faults.push(
      `maxmemory-policy is ${policy}, so that waiting tasks may be evicted: set it to noeviction ` +
        "(CONFIG SET maxmemory-policy noeviction, and in redis.conf or your provider's settings)",
    );
  }
  if (field('aof_enabled') === '0') {
    hints.push(
      'this Redis keeps no append-only file: after it restarts, what ran starts over; set appendonly to yes',
    );
  }
  return { faults, hints };
}
