import { McpctlError } from '../../core/errors.ts';

/** A value is JSON where it is any, else text. */
export function valueOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** `name=value`, each. @throws McpctlError `usage`. */
export function paramsOf(params: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    params.map((param): [string, unknown] => {
      const at = param.indexOf('=');
      if (at < 1)
        throw new McpctlError(
          'usage',
          `--param is written like top_p=0.9, and not ${JSON.stringify(param)}.`,
        );
      return [param.slice(0, at), valueOf(param.slice(at + 1))];
    }),
  );
}
