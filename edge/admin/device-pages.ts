import { grantText } from '../../core/access/covers.ts';
import type { WaitingDevice } from '../../core/registry/people/device-logins.ts';
import { escaped, page } from './pages.ts';

const lets: Readonly<Record<string, string>> = {
  call: 'call llms, and see your own tasks and threads',
  publish: 'publish llms, as a worker does',
  manage: 'do what you may do, but for the operations (backup, reveal, …)',
  full: 'do everything that you may do',
};

/** Where a code is typed. @param fault why the last one was refused, as a sentence. */
export function devicePage({ fault }: { fault?: string }): string {
  const alert = fault === undefined ? '' : `<p class="fault" role="alert">${escaped(fault)}</p>`;
  return page(
    'mcpctl: log a program in',
    `<h1>Log a program in</h1>
${alert}
<form method="post" action="/admin/device">
<label for="code">Code that the program shows</label>
<input id="code" name="code" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="64" required autofocus>
<button>Go on</button>
</form>
<p>Type it only if you yourself have just run <code>mcpctl login --web</code> or <code>mcplocal join</code>. Whoever asks you to type a code of theirs wants to act as you.</p>`,
  );
}

/** Who asks, and for what: nothing is given yet. */
export function waitingPage({
  code,
  waiting: { machine, address, days, pools, filter },
  user,
}: {
  code: string;
  waiting: WaitingDevice;
  user: string;
}): string {
  const bound = filter.bindings.map(grantText).join(', ');
  const facts = {
    Machine: machine,
    Address: address,
    'Acts as': user,
    Preset: `${filter.preset}: may ${lets[filter.preset] ?? 'do what the preset lets through'}`,
    ...(bound === '' ? {} : { 'No more than': bound }),
    ...(pools === null
      ? { 'Good for': `${String(days)} days, and no longer than the token that you signed in with` }
      : {
          'As a worker in': pools.join(', '),
          'Who reads what': 'whoever runs that machine reads the prompts that are sent to it',
          'Good until': 'it leaves, and no longer than the token that you signed in with',
        }),
  };
  const rows = Object.entries(facts).map(
    ([name, value]) => `<tr><th scope="row">${name}</th><td>${escaped(value)}</td></tr>`,
  );
  return page(
    'mcpctl: log a program in?',
    `<h1>Log this program in?</h1>
<table>
${rows.join('\n')}
</table>
<form method="post" action="/admin/device/decide">
<input type="hidden" name="code" value="${escaped(code)}">
<button name="answer" value="deny">Deny</button>
<button name="answer" value="approve">Approve</button>
</form>
<p>Approve it only if this is the machine that you sit at: it chose its name itself. Take it back with <code>mcpctl token revoke</code>.</p>`,
  );
}

export const decidedPage = ({ machine, approve }: { machine: string; approve: boolean }): string =>
  page(
    'mcpctl',
    approve
      ? `<h1>Approved</h1>\n<p role="status">The program on ${escaped(machine)} gets its token within a few seconds. You may close this page.</p>`
      : `<h1>Denied</h1>\n<p role="status">The program on ${escaped(machine)} gets nothing. You may close this page.</p>`,
  );
