import type { Response } from 'express';
import type { NamelessView } from '../shown/task/task-view.ts';

const style = `
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { max-width: 44rem; margin: 4rem auto; padding: 0 1rem; line-height: 1.5; }
label { display: block; margin-bottom: .25rem; }
input { width: 100%; box-sizing: border-box; padding: .5rem; font: inherit; }
button { margin-top: 1rem; padding: .5rem 1rem; font: inherit; }
.fault { border-left: .25rem solid #c33; padding-left: .75rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; padding-right: 1rem; vertical-align: top; white-space: nowrap; }
details { margin-block: .25rem; }
pre { overflow-x: auto; font-size: .85rem; }
h2 { margin-top: 2.5rem; font-size: 1.1rem; overflow-wrap: anywhere; }
td, th { padding-block: .2rem; overflow-wrap: anywhere; }
`;

const escapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
export const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => escapes[c] ?? '');

/** A page without a script. The style is a file of its own, because inline styles are what the policy forbids. */
export const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/admin/style.css">
</head>
<body>
${body}
</body>
</html>
`;

export const html = (res: Response, text: string): void => void res.type('html').send(text);

export const stylesheet = style;

/** @param fault why the last try failed, as a sentence. @param next where to go afterwards, a path of ours. */
export function loginPage({ fault, next }: { fault?: string; next: string }): string {
  const alert = fault === undefined ? '' : `<p class="fault" role="alert">${escaped(fault)}</p>`;
  return page(
    'mcpctl: sign in',
    `<h1>mcpctl</h1>
${alert}
<form method="post" action="/admin/login">
<input type="hidden" name="next" value="${escaped(next)}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Sign in</button>
</form>
<p>Make a token with <code>mcpctl token create</code>. It is sent once; the browser keeps a cookie for eight hours.</p>`,
  );
}

/** For who was led here by a link of another site: it cannot sign anybody out. */
export const logoutPage = (): string =>
  page(
    'mcpctl: sign out',
    `<h1>mcpctl</h1>
<form method="post" action="/admin/logout">
<p>Sign out of the admin pages in this browser?</p>
<button>Sign out</button>
</form>
<p><a href="/admin/queues/">Queues</a></p>`,
  );

/** A task as its row says, without what was asked or answered, and of its error only the code. */
export function taskPage(task: NamelessView): string {
  const { status, llmName, poolName, operation, source, priority, attempts, crashes, finishReason } = task;
  const facts = {
    id: task.id,
    status,
    error: task.error?.code,
    llm: llmName,
    pool: poolName,
    'served by': task.claimedLlm,
    operation,
    source,
    priority,
    attempts,
    crashes,
    created: task.createdAt,
    claimed: task.claimedAt,
    'first event': task.streamStartedAt,
    completed: task.completedAt,
    'finish reason': finishReason,
  };
  const rows = Object.entries(facts).flatMap(([name, value]) =>
    value === undefined || value === null
      ? []
      : [`<tr><th scope="row">${name}</th><td>${escaped(String(value))}</td></tr>`],
  );
  return page(
    `Task ${task.id}`,
    `<h1>Task</h1>
<table>
${rows.join('\n')}
</table>
<p><a href="/admin/queues/">Queues</a> · <code>mcpctl describe task ${escaped(task.id)}</code></p>`,
  );
}

export const messagePage = (title: string, text: string): string =>
  page(
    title,
    `<h1>${escaped(title)}</h1>\n<p>${escaped(text)}</p>\n<p><a href="/admin/login">Sign in</a></p>`,
  );
