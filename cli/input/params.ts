import { McpctlError } from '../../core/errors.ts';

/** A value is JSON where it is any, else text. */
export function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** `name=value` in two; null where there is no name. */
export function pairIn(text: string): [name: string, value: string] | null {
  const at = text.indexOf('=');
  return at < 1 ? null : [text.slice(0, at), text.slice(at + 1)];
}

/** `name=value`, each. @throws McpctlError `usage`. */
export function paramsOf(params: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    params.map((param): [string, unknown] => {
      const pair = pairIn(param);
      if (!pair)
        throw new McpctlError(
          'usage',
          `--param is written like top_p=0.9, and not ${JSON.stringify(param)}.`,
        );
      return [pair[0], valueOf(pair[1])];
    }),
  );
}
