import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { addTally } from '../../core/queue/tally.ts';
import { processMetrics } from '../../core/runtime/process/process-metrics.ts';
import { workerMetrics } from '../../worker/metrics.ts';
import { edgeFixture } from '../support/edge.ts';
import { exercised } from '../support/exercised.ts';
import { read, root, span, tableOf } from './markdown.ts';

const folder = 'deploy/grafana';

/** What is exported by name, with the labels and values that its series have. */
type Exported = Map<string, Map<string, Set<string>>>;

function note(exported: Exported, text: string): void {
  for (const [, name = ''] of text.matchAll(/^# TYPE (\w+) /gm))
    exported.set(name, exported.get(name) ?? new Map<string, Set<string>>());
  for (const [, series = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? [\d.e+-]+$/gm)) {
    const labelled = exported.get(series) ?? exported.get(series.replace(/_(bucket|sum|count)$/, ''));
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="([^"]*)"/g))
      labelled?.set(label, (labelled.get(label) ?? new Set<string>()).add(value));
  }
}

const ofPrometheus = { up: ['instance', 'job'] };

/** What is wrong with an expression of PromQL, as far as names, labels and their values go. */
function faultsOf(expression: string, exported: Exported): string[] {
  const faults: string[] = [];
  const labels = new Set<string>(['le', 'instance']);
  for (const [, name = '', matchers = ''] of expression.matchAll(
    /\b((?:mcpctl|process|nodejs)_\w+|up)\b(?:\{([^}]*)\})?/g,
  )) {
    if (name in ofPrometheus) continue;
    const labelled = exported.get(name) ?? exported.get(name.replace(/_(bucket|sum|count)$/, ''));
    if (!labelled) faults.push(`${name} is not exported`);
    for (const label of labelled?.keys() ?? []) labels.add(label);
    for (const [, label = '', how = '', value = ''] of matchers.matchAll(/(\w+)(=~?|!~?=?)"([^"]*)"/g)) {
      const values = labelled?.get(label);
      if (!values) faults.push(`${name} has no label ${label}`);
      const asked = value.startsWith('$') ? [] : how === '=~' ? value.split('|') : [value];
      for (const one of asked) if (!values?.has(one)) faults.push(`${name} has no ${label}="${one}"`);
    }
  }
  for (const [, by = ''] of expression.matchAll(/\b(?:by|on|without|ignoring) \(([^)]*)\)/g))
    for (const label of by.split(/, */)) if (!labels.has(label)) faults.push(`nothing has a label ${label}`);
  return faults;
}

interface Dashboard {
  panels: { id: number; title: string; targets?: { expr: string; legendFormat: string }[] }[];
  templating: { list: { query: string | { query: string } }[] };
}

describe('deploy/grafana', function () {
  this.timeout(30_000);
  const exported: Exported = new Map();
  let ofEdge: string[] = [];

  before(async () => {
    const t = await edgeFixture();
    try {
      const { redis, keys } = t.deps.queue;
      const duties = [
        { duty: 'reconcile', ok: 1, failed: 1, did: 1, left: 0, isolated: 0, ended: 0, lastOkMs: 1 },
      ];
      const counted = [
        { what: 'removed', by: 'task', count: 1 },
        { what: 'settled', by: 'completed', count: 1 },
        { what: 'tokens', by: 'output', count: 1 },
      ] as const;
      await addTally(redis, keys, { duties, counted: [...counted] });
      note(exported, await exercised(t));
      ofEdge = [...exported.keys()];
      const about = { version: '1', commit: '' };
      note(exported, await processMetrics(about).metrics());
      note(exported, (await workerMetrics({ ...about, bus: t.bus, clock: t.deps.clock })()).text);
    } finally {
      await t.close();
    }
  });

  it('asks in its panels for nothing that is not exported, with labels and values that it has', () => {
    const { panels, templating } = JSON.parse(read(`${folder}/mcpctl.json`)) as Dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).to.equal(panels.length);
    for (const { title, targets = [] } of panels)
      for (const { expr, legendFormat } of targets) {
        expect(faultsOf(expr, exported), `${title}: ${expr}`).to.deep.equal([]);
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect(label === 'instance' || expr.includes(label), `${title}: ${legendFormat}`).to.equal(true);
      }
    for (const { query } of templating.list) {
      const [, name = '', label = ''] =
        /label_values\((\w+), (\w+)\)/.exec(typeof query === 'string' ? '' : query.query) ?? [];
      if (name !== '') expect(exported.get(name)?.has(label), `${name} ${label}`).to.equal(true);
    }
  });

  it('alerts on what is exported, and says what to do', () => {
    const { groups } = parse(read(`${folder}/alerts.yaml`)) as {
      groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    expect(rules.length).to.be.greaterThan(5);
    for (const { alert, expr, annotations } of rules) {
      expect(faultsOf(expr, exported), alert).to.deep.equal([]);
      expect(annotations, alert).to.include.all.keys('summary', 'what_to_do');
      for (const [, label = ''] of Object.values(annotations)
        .join()
        .matchAll(/\$labels\.(\w+)/g))
        expect(expr.includes(label) || label === 'instance', `${alert}: ${label}`).to.equal(true);
    }
  });

  it('has files for Prometheus and Grafana that can be read', () => {
    const files = readdirSync(join(root, folder), { recursive: true }).map(String);
    const yamls = files.filter((file) => file.endsWith('.yaml'));
    expect(yamls).to.have.length(4);
    for (const file of yamls) expect(parse(read(`${folder}/${file}`)), file).to.be.an('object');
    expect(read(`${folder}/prometheus.yaml`))
      .to.include('/metrics/targets')
      .and.include('alerts.yaml');
  });

  it('finds what is wrong', () => {
    for (const wrong of [
      'sum(mcpctl_no_such_total)',
      'max(mcpctl_workers{state="lively"})',
      'sum by (user) (mcpctl_workers)',
      'mcpctl_workers{worker="x"}',
    ])
      expect(faultsOf(wrong, exported), wrong).not.to.deep.equal([]);
  });

  it('is described in docs/metrics.md: every metric, with its labels, and no other', () => {
    const rows = tableOf(read('docs/metrics.md'), 'metric');
    const listed = new Map(rows.map((row) => [span(row['metric']), row['labels'] ?? '']));
    const ours = [...exported.keys()].filter((name) => name.startsWith('mcpctl_'));
    expect([...listed.keys()]).to.have.members([
      ...ours,
      'mcpctl_scheduler_leading',
      'mcpctl_worker_llm_state',
      'mcpctl_worker_llm_busy',
    ]);
    for (const name of ofEdge.filter((one) => one.startsWith('mcpctl_'))) {
      const labels = [...(exported.get(name)?.keys() ?? [])].filter((label) => label !== 'le');
      const documented = [...(listed.get(name) ?? '').matchAll(/`(\w+)`/g)].map(([, label]) => label);
      expect(documented, name).to.have.members(labels);
    }
  });
});
