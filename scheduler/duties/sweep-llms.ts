import type { Duty, DutyDeps } from './duty.ts';

/**
 * Writes down that publishers are gone: their lease has lapsed (90 s), and deletes their rows when that was long ago (4 h).
 * Their names stay their owners' for longer (30 days), then are free.
 * Reads have shown it at once; this only brings the rows up to date. While Redis is fresh nothing is believed of it.
 */
export function createSweepLlmsDuty({ config, registry, queue, flow, log }: DutyDeps): Duty {
  const markLapsed = async (): Promise<number> => {
    const published = await registry.sessions.published();
    const { fresh, live } = await queue.presence.sessions(published);
    const missing = published.filter((id) => !live.has(id));
    if (missing.length === 0 || fresh) return 0;
    // A lease that was lost with Redis is no lapse: a heartbeat that Postgres has heard of counts as well.
    const beaten = await registry.sessions.beatenWithin(missing, config.leaseMs);
    const lapsed = missing.filter((id) => !beaten.has(id));
    const rows = await registry.sessions.markGone(lapsed);
    for (const sessionId of lapsed) flow.bus.emit('session.left', { sessionId, why: 'lapsed' });
    return rows.length;
  };
  return {
    name: 'sweep-llms',
    everyMs: config.sweepMs,
    async run() {
      const marked = await markLapsed();
      const deleted = await registry.sessions.deleteGone(config.goneMs);
      if (deleted.length > 0) {
        log.info({ llms: deleted.map((row) => row.name) }, 'llms of publishers long gone are deleted');
        flow.bus.emit('scheduler.removed', { kind: 'llm', count: deleted.length });
      }
      const freed = await registry.names.sweep(config.nameKeepMs);
      if (freed.length > 0) flow.bus.emit('scheduler.removed', { kind: 'name', count: freed.length });
      return marked + deleted.length + freed.length;
    },
  };
}
