import helmet from 'helmet';
import { escaped } from '../admin/pages.ts';
import type { WebFiles } from './files.ts';

/** Only what this edge serves itself; no string ever becomes markup or a script (`trusted-types 'none'`). */
export const policy = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      'default-src': ["'none'"],
      'script-src': ["'self'"],
      'style-src': ["'self'"],
      'img-src': ["'self'", 'data:', 'blob:'],
      'connect-src': ["'self'"],
      'base-uri': ["'none'"],
      'form-action': ["'self'"],
      'frame-ancestors': ["'none'"],
      'require-trusted-types-for': ["'script'"],
      'trusted-types': ["'none'"],
    },
  },
  referrerPolicy: { policy: 'no-referrer' },
  strictTransportSecurity: false,
});

/**
 * The one document of every address below `/ui/`; its script reads the address. Until it does, the page says what is wrong. Nothing is painted before
 * the script has run (`blocking`) or could not be had: the colours that somebody chose here would come after a flash of the system's.
 */
export function shell({ script, style, shared }: Pick<WebFiles, 'script' | 'style' | 'shared'>): string {
  const preloads = shared.map((name) => `<link rel="modulepreload" href="/ui/a/${escaped(name)}">\n`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>mcpctl</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/ui/a/${escaped(style)}">
${preloads.join('')}<script type="module" blocking="render" src="/ui/a/${escaped(script)}"></script>
</head>
<body>
<div id="app"><main class="alone"><h1>mcpctl</h1>
<p>The page is starting. If this stays, its script could not run: reload, or see <a href="/ui/status">the numbers without a script</a>.</p>
</main></div>
</body>
</html>
`;
}
