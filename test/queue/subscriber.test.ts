import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { openRedis } from '../../core/queue/link/connect.ts';
import { createSubscriber, type Heard, type Subscriber } from '../../core/queue/link/subscriber.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { until } from '../support/system.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const url = process.env['REDIS_URL'] ?? '';
const channel = `t_subscriber_${process.pid}:news`;

describe('a subscriber', function () {
  this.timeout(60_000);
  let wire: Wire;
  let subscriber: Subscriber;
  let publisher: Redis;
  let heard: Heard[];
  const hear = (what: Heard): void => void heard.push(what);
  const resynced = (): Promise<boolean> =>
    until(
      async () => heard.some((h) => h.kind === 'resync'),
      (yes) => yes,
      20_000,
    );
  const hearsAMessage = async (): Promise<void> => {
    heard = [];
    expect(await publisher.spublish(channel, 'news')).to.be.above(0);
    await until(
      async () => heard,
      (all) => all.some((h) => h.kind === 'message' && h.text === 'news'),
    );
  };

  beforeEach(async () => {
    heard = [];
    wire = await wireToUrl(url);
    publisher = openRedis('producer', { url, verifyTls: true, clock, log });
    await publisher.connect();
    subscriber = createSubscriber(
      openRedis('subscriber', { url: wire.url(url), verifyTls: true, clock, log }),
      log,
    );
    await subscriber.start?.();
  });
  afterEach(async () => {
    await subscriber.stop();
    publisher.disconnect();
    await wire.close();
  });

  it('hears again by itself, and says so, when its idle connection has gone black for ever', async () => {
    await subscriber.listen(channel, hear);
    await hearsAMessage();
    wire.blackhole({ newOnes: 'open' });
    await until(
      async () => wire.struck().swallowed,
      (bytes) => bytes > 0,
    );
    heard = [];
    await resynced();
    await hearsAMessage();
  });

  it('hears again when its reconnect had ended in a path that swallows everything', async () => {
    await subscriber.listen(channel, hear);
    wire.blackhole();
    // Its own connection and at least the greeting of another are swallowed.
    await until(
      async () => wire.connections(),
      (fresh) => fresh > 0,
      20_000,
    );
    heard = [];
    wire.mend();
    await resynced();
    await hearsAMessage();
  });

  it('hears again on the same connection where its channel was refused for a while', async () => {
    const user = `t_subscriber_${process.pid}`;
    const rights = (...rules: string[]) => publisher.call('ACL', 'SETUSER', user, ...rules);
    await rights('reset', 'on', '>word', '~*', '+@all', 'allchannels');
    const own = new URL(url);
    [own.username, own.password] = [user, 'word'];
    const redis = openRedis('subscriber', { url: own.href, verifyTls: true, clock, log });
    const another = createSubscriber(redis, log);
    await another.start?.();
    await another.listen(channel, hear);
    await rights('resetchannels'); // Redis closes the connection, and refuses the channel on the next
    await resynced();
    const connections: unknown[] = [];
    redis.on('ready', () => connections.push(null));
    await rights('allchannels');
    const listens = async () => (await publisher.pubsub('SHARDNUMSUB', channel))[1];
    await until(listens, (n) => n === 1);
    await hearsAMessage();
    expect(connections).to.have.length(0);
    await another.stop();
    await publisher.call('ACL', 'DELUSER', user);
  });

  it('tells a listener in time that Redis does not confirm, and serves the next one', async () => {
    wire.blackhole({ newOnes: 'open' });
    const began = clock.elapsed();
    const refused = await subscriber.listen(channel, hear).catch((thrown: unknown) => thrown);
    expect(refused).to.have.property('code', 'unavailable');
    expect(clock.elapsed() - began).to.be.below(2_500);
    await until(
      () => subscriber.listen(channel, hear).catch(() => null),
      (stop) => stop !== null,
    );
    await hearsAMessage();
    expect(heard.filter((h) => h.kind === 'message')).to.have.length(1);
  });

  it('leaves channels together, and none that somebody has come back to', async () => {
    const redis = openRedis('subscriber', { url, verifyTls: true, clock, log });
    const commands: string[][] = [];
    const send = redis.sendCommand.bind(redis);
    redis.sendCommand = (command, ...more) => {
      commands.push([command.name, ...command.args.map(String)]);
      return send(command, ...more);
    };
    const another = createSubscriber(redis, log);
    await another.start?.();
    const names = Array.from({ length: 5 }, (_, n) => `${channel}:${String(n)}`);
    const stops = await Promise.all(names.map((name) => another.listen(name, hear)));
    for (const stop of stops) stop();
    await another.listen(names[0] ?? '', hear);
    const listeners = async (): Promise<number[]> =>
      (await publisher.pubsub('SHARDNUMSUB', ...names)).filter((one) => typeof one === 'number');
    await until(listeners, (numbers) => numbers.slice(1).every((number) => number === 0));
    expect((await listeners())[0]).to.equal(1);
    expect(commands.filter(([name]) => name === 'sunsubscribe')).to.deep.equal([
      ['sunsubscribe', ...names.slice(1)],
    ]);
    await another.stop();
  });

  it('confirms a channel to its second listener only when Redis has', async () => {
    wire.latency(100);
    const first = subscriber.listen(channel, () => undefined);
    await subscriber.listen(channel, hear);
    await hearsAMessage();
    await first;
  });
});
