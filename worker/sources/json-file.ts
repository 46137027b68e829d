import { McpctlError } from '../../core/errors.ts';

/**
 * What a JSON file of a person holds. @throws McpctlError `invalid_config` naming the line; never the text
 * itself, as the parser's own message would: there may be a key in it.
 */
export function jsonFile(text: string, name: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (thrown) {
    const position = Number(/position (\d+)/.exec(String(thrown))?.[1] ?? text.length);
    const line = text.slice(0, position).split('\n').length;
    throw new McpctlError('invalid_config', `${name} is not valid JSON: look at line ${String(line)}.`);
  }
}
