import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { openPublished, offersOf } from '../../worker/backends/open-providers.ts';
import { OthersUse } from '../../worker/owner/others-use.ts';
import { OwnerWatch } from '../../worker/owner/owner-watch.ts';
import { quietUntil, readQuietHours } from '../../worker/owner/quiet-hours.ts';
import { parseWorkerConfig } from '../../worker/sources/config.ts';
import { until } from '../support/system.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
/** A Monday, by this machine's own time. */
const monday = (time: string, day = 0): Date =>
  new Date(`2026-11-${String(30 + day).padStart(2, '0')}T${time}`);

describe('the hours of an owner', () => {
  const untilOf = (texts: readonly string[], now: Date): string | null => {
    const spans = texts.flatMap((text) => readQuietHours(text) ?? expect.fail(`${text} is not read`));
    return quietUntil(spans, now);
  };

  it('are read as people write them, and nothing else is', () => {
    expect(readQuietHours('Mon-Fri 9-18')).to.deep.equal(readQuietHours('mon,tue-thu,fri 09:00 - 18:00'));
    expect(readQuietHours('Sat-Sun 0-24')).to.have.length(2);
    expect(readQuietHours('22:00-06:30')).to.have.length(7);
    const wrong = [
      '',
      'Mon',
      'Mon-Fri',
      'Mon 9',
      'Mon 9-25',
      'Mon 9:60-10',
      'Xxx 9-10',
      'Mon-Fri 24-3',
      '9-18 Mon',
    ];
    for (const text of wrong) expect(readQuietHours(text), text).to.equal(null);
    const { published } = parseWorkerConfig(
      JSON.stringify({
        quiet: ['Mon-Fri 9-18'],
        quietCuts: true,
        ownerFirst: true,
        providers: [
          { name: 'a', type: 'openai', model: 'm', publish: true },
          { name: 'b', type: 'openai', model: 'm', publish: true, quiet: [], ownerFirst: false },
        ],
      }),
      '/',
    );
    expect(
      published.map(({ quiet, quietCuts, ownerFirst }) => [quiet.length, quietCuts, ownerFirst]),
    ).to.deep.equal([
      [5, true, true],
      [0, true, false],
    ]);
    const bad = (): unknown => parseWorkerConfig(JSON.stringify({ quiet: ['all day'], providers: [] }), '/');
    expect(bad).to.throw('must be like "Mon-Fri 09:00-18:00"');
  });

  it('end when the last of those that adjoin does', () => {
    expect(untilOf(['Mon-Fri 09:00-18:00'], monday('08:59'))).to.equal(null);
    expect(untilOf(['Mon-Fri 09:00-18:00'], monday('09:00'))).to.equal('18:00');
    expect(untilOf(['Mon-Fri 09:00-18:00'], monday('17:59:59'))).to.equal('18:00');
    expect(untilOf(['Mon-Fri 09:00-18:00'], monday('18:00'))).to.equal(null);
    expect(untilOf(['Mon 9-18', 'Mon 17-20'], monday('10:00'))).to.equal('20:00');
    expect(untilOf(['22:00-06:00'], monday('23:00'))).to.equal('Tue 06:00');
    expect(untilOf(['Sun 22:00-06:00'], monday('05:00'))).to.equal('06:00');
    expect(untilOf(['Sat-Mon 0-24'], monday('12:00'))).to.equal('Tue 00:00');
    expect(untilOf(['0-24'], monday('12:00'))).to.equal('further notice');
    expect(untilOf(['Mon 0-24'], new Date('2026-12-01T00:00'))).to.equal(null);
  });
});

describe('an owner who comes first', function () {
  this.timeout(20_000);
  let server: Server;
  let port: number;
  const answers = new Map<string, string>();
  before(async () => {
    server = createServer((req, res) => {
      const text = answers.get(req.url ?? '');
      res.writeHead(text === undefined ? 404 : 200).end(text);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  beforeEach(() => answers.clear());

  it('is seen at the backends that tell, and what this worker runs is not taken for theirs', async () => {
    const url = new URL(`http://127.0.0.1:${String(port)}`);
    const { signal } = new AbortController();
    let ours = 0;
    const twice = async (type: string): Promise<boolean> => {
      const others = new OthersUse([{ type, url, backend: 'b', running: () => ours }]);
      await others.look(signal);
      return await others.look(signal);
    };
    const slots = (...busy: boolean[]): string =>
      JSON.stringify(busy.map((is_processing, id) => ({ id, is_processing })));
    expect(await twice('llamacpp')).to.equal(false); // it does not tell
    answers.set('/slots', slots(true, false));
    expect(await twice('llamacpp')).to.equal(true);
    ours = 1;
    expect(await twice('llamacpp')).to.equal(false);
    answers.set('/slots', slots(true, true));
    expect(await twice('llamacpp')).to.equal(true);
    ours = 0;
    answers.set('/slots', 'no JSON');
    expect(await twice('llamacpp')).to.equal(false);
    answers.set(
      '/metrics',
      '# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name="a"} 2.0\nvllm:num_requests_running_total 9\n',
    );
    expect(await twice('vllm')).to.equal(true);
    ours = 2;
    expect(await twice('vllm')).to.equal(false);
    expect(await twice('openai')).to.equal(false);
    ours = 0;
    const ollama = new OthersUse([{ type: 'ollama', url, backend: 'b', running: () => ours }]);
    const seen: boolean[] = [];
    for (const minute of ['01', '01', '02', '03', '03', '03']) {
      answers.set(
        '/api/ps',
        JSON.stringify({ models: [{ name: 'q', expires_at: `2026-11-30T10:${minute}:00Z` }] }),
      );
      seen.push(await ollama.look(signal));
    }
    expect(seen).to.deep.equal([false, false, false, true, false, false]);
  });

  it('is seen at the GPU while nothing of ours runs; what tells that and hangs holds nobody up', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gpu-'));
    const before = process.env['PATH'];
    const hang = join(folder, 'hang');
    const script = `#!/bin/sh\ntrap '' TERM\nwhile [ -e ${hang} ]; do sleep 0.1; done\necho 95\n`;
    await writeFile(join(folder, 'nvidia-smi'), script, { mode: 0o755 });
    try {
      process.env['PATH'] = `${folder}:${before ?? ''}`;
      const url = new URL(`http://127.0.0.1:${String(port)}`);
      const { signal } = new AbortController();
      let ours = 1;
      const others = new OthersUse([{ type: 'openai', url, backend: 'b', running: () => ours }]);
      expect(await others.look(signal)).to.equal(false);
      ours = 0;
      expect([await others.look(signal), await others.look(signal)]).to.deep.equal([false, true]);
      await writeFile(hang, '');
      expect(await others.look(signal)).to.equal(false);
      await rm(hang);
      await until(() => others.look(signal), Boolean);
    } finally {
      process.env['PATH'] = before;
      await rm(folder, { recursive: true });
    }
  });

  it('has it until so long after they were seen last, and everybody is told why', async () => {
    const config = {
      ownerFirst: true,
      providers: [
        { name: 'a', type: 'llamacpp', url: `http://127.0.0.1:${String(port)}`, model: 'm', publish: true },
      ],
    };
    const { published: configured } = parseWorkerConfig(JSON.stringify(config), '/');
    const clock = systemClock;
    const opened = openPublished(configured, { bus: createBus(log), clock });
    let changes = 0;
    const watch = new OwnerWatch({
      ...{ configured, opened, clock, log, everyMs: 20, quietMs: 300 },
      onChanged: () => (changes += 1),
      giveBack: () => expect.fail('it has no quiet hours'),
    });
    watch.first();
    watch.start();
    const gate = opened[0]?.gate ?? expect.fail('none');
    expect(gate.isOpen()).to.equal(true);
    answers.set('/slots', '[{"is_processing":true}]');
    const stateIs = (fits: string): Promise<string> =>
      until(
        async () => gate.state,
        (state) => state === fits,
      );
    await stateIs('quiet');
    expect(offersOf(opened)[0]?.statusReason).to.match(/^Its owner comes first and uses the machine/);
    const from = performance.now();
    answers.set('/slots', '[{"is_processing":false}]');
    await stateIs('serving');
    expect(performance.now() - from).to.be.at.least(200);
    expect(offersOf(opened)[0]).not.to.have.property('statusReason');
    expect(changes).to.equal(2);
    await watch.stop();
    gate.end();
  });

  it('has what runs handed back as a quiet hour begins where it cuts, and only there', async () => {
    const provider = (name: string) => ({ name, type: 'openai', model: 'm', publish: true });
    const config = {
      quiet: ['Mon 9-18'],
      providers: [{ ...provider('cuts'), quietCuts: true }, provider('goes-on')],
    };
    const { published: configured } = parseWorkerConfig(JSON.stringify(config), '/');
    let now = monday('08:59:59').getTime();
    const clock = { ...systemClock, now: () => now };
    const opened = openPublished(configured, { bus: createBus(log), clock });
    const given: string[] = [];
    const watch = new OwnerWatch({
      ...{ configured, opened, clock, log, everyMs: 5 },
      onChanged: () => undefined,
      giveBack: (llm) => given.push(`${llm} ${opened.every(({ gate }) => gate.isOpen())}`),
    });
    watch.first();
    expect(given).to.deep.equal([]);
    now = monday('09:00').getTime();
    watch.start();
    // What was on its way as the hour began comes a moment later.
    await until(
      async () => given.length,
      (times) => times > 1,
    );
    expect(new Set(given)).to.deep.equal(new Set(['cuts false']));
    await watch.stop();
    for (const { gate } of opened) gate.end();
  });
});
