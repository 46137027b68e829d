/** Words of llms, tasks and workers, by how a person should take them; beside the colour there is always the word. */
const kinds: Readonly<Record<string, 'good' | 'busy' | 'bad' | 'calm'>> = {
  active: 'good',
  completed: 'good',
  live: 'good',
  ready: 'good',
  chosen: 'good',
  running: 'busy',
  claimed: 'busy',
  draining: 'busy',
  serving: 'good',
  ok: 'good',
  down: 'bad',
  busy: 'busy',
  waking: 'busy',
  error: 'bad',
  inactive: 'bad',
  gone: 'bad',
  failed: 'bad',
  away: 'bad',
};

export function Status({ of }: { of: string }) {
  return <span class={`status ${kinds[of] ?? 'calm'}`}>{of}</span>;
}
