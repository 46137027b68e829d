import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { isPaused, line, storesAway } from './net/live.ts';
import { areKeysTold, keys } from './state/keys.ts';
import { path } from './state/router.ts';
import { listedKinds, titleOf } from './state/catalogue.ts';
import { door, may, signOut, who } from './state/session.ts';
import { SignIn } from './screens/sign-in.tsx';
import { screenOf, sections } from './screens/index.tsx';
import { Theme } from './parts/theme.tsx';
import { Keys } from './shown/keys.tsx';
import { Component, type ComponentChildren } from 'preact';
const lines = {
  live: ['●', 'live'],
  away: ['◌', 'reconnecting'],
  asking: ['○', 'asking every 5 s'],
} as const;

/** How what is shown follows what happens; pressed, it stands still. */
function Line() {
  const [sign, text] = isPaused.value ? ['‖', 'paused'] : lines[line.value];
  return (
    <button
      type="button"
      class={`line ${isPaused.value ? 'paused' : line.value}`}
      aria-pressed={isPaused.value}
      title="Nothing changes by itself while this is pressed"
      onClick={() => (isPaused.value = !isPaused.value)}
    >
      <span aria-hidden="true">{sign}</span> {text}
    </button>
  );
}

function Banner() {
  return (
    <header>
      <a href="/ui/" class="name">
        mcpctl
      </a>
      <Line />
      <span class="who">
        {who.value?.user}
        <span class="quiet"> · {who.value?.token}</span>
      </span>
      <Theme />
      <button type="button" aria-label="Keys" onClick={() => (areKeysTold.value = true)}>
        ?
      </button>
      <button type="button" onClick={() => void signOut()}>
        Sign out
      </button>
    </header>
  );
}

const timeOf = (ms: number): string => new Date(ms).toLocaleTimeString('en', { hour12: false });

/** Over every screen, so that nobody takes what is old for what is. */
function StoresAway() {
  const since = storesAway.value;
  return (
    <div role="status">
      {since !== null && (
        <p class="warning">
          The server cannot read its stores (Redis, Postgres) since {timeOf(since)}: what is shown is as it
          was then, and nothing can be changed. Answers under way go on. When they are back, so is this page,
          by itself.
        </p>
      )}
    </div>
  );
}

function Navigation() {
  const at = path.value;
  const isOpen = useSignal(false);
  useEffect(() => void (isOpen.value = false), [at]);
  return (
    <nav aria-label="Screens" class={isOpen.value ? 'open' : ''}>
      {/* Where the window is narrow they would be half of it. */}
      <button
        type="button"
        class="menu"
        aria-expanded={isOpen.value}
        onClick={() => (isOpen.value = !isOpen.value)}
      >
        Screens
      </button>
      <ul>
        {sections.map(({ path: to, name, isOffered }) =>
          isOffered() ? (
            <li key={to}>
              <a
                href={`/ui${to}`}
                aria-current={(to === '/' ? at === '/' : at.startsWith(to)) ? 'page' : undefined}
              >
                {name}
              </a>
            </li>
          ) : null,
        )}
        {listedKinds().map((entry) =>
          may('view', entry.word) || may('create', entry.word) ? (
            <li key={entry.plural}>
              <a
                href={`/ui/r/${entry.plural}`}
                aria-current={at.startsWith(`/r/${entry.plural}`) ? 'page' : undefined}
              >
                {titleOf(entry)}
              </a>
            </li>
          ) : null,
        )}
        {may('create', 'token') && (
          <li>
            <a href="/admin/device" data-whole>
              Log a program in
            </a>
          </li>
        )}
        {who.value?.may.view.includes('board') && (
          <li>
            <a href="/admin/queues" data-whole>
              Queues
            </a>
          </li>
        )}
      </ul>
    </nav>
  );
}

export function App() {
  useEffect(keys, []);
  if (door.value === 'asking')
    return (
      <main class="alone">
        <h1>mcpctl</h1>
        <p class="quiet">Signing in …</p>
      </main>
    );
  if (!who.value) return <SignIn />;
  const Screen = screenOf(path.value);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <Banner />
      <div class="body">
        <Navigation />
        <main id="main" tabIndex={-1}>
          <StoresAway />
          <Guarded key={path.value}>
            <Screen />
          </Guarded>
        </main>
      </div>
      <Keys />
      {door.value === 'out' && <SignIn />}
    </>
  );
}

interface Props {
  children: ComponentChildren;
}

/** A screen that fails says so, and leaves the others to be gone to. */
class Guarded extends Component<Props, { failed: boolean }> {
  override state = { failed: false };

  static override getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <div class="fault" role="alert">
        <h1>This screen failed</h1>
        <p>
          That is a fault of the page. Reload it, or go to another screen; the command line shows the same.
        </p>
      </div>
    );
  }
}
