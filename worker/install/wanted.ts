import { McpctlError } from '../../core/errors.ts';
import type { PackageSpec } from '../../core/mcp/hosted/package.ts';
import { fillTemplate, variableFaults, type Template } from '../../core/mcp/hosted/template.ts';
import type { HealthCheck } from '../../core/mcp/server-limits.ts';
import type { ReadTemplates } from '../../core/runtime/files/template-files.ts';
import { didYouMean, nearest } from '../../core/runtime/nearest.ts';
import type { AddArguments, Variable } from './arguments.ts';

/** What `mcp add` is to install and enter, however it was said. */
export interface Wanted {
  spec: PackageSpec;
  /** Undefined: the one that the package has. */
  program: string | undefined;
  /** What the package must be; undefined: as the registry says. */
  integrity: string | undefined;
  args: readonly string[];
  env: readonly Variable[];
  /** As its template says; undefined: as is usual. */
  healthCheck?: HealthCheck;
}

/** @throws McpctlError `usage` for a template that there is not, or what it may not be told. */
export async function wantedBy(
  { what, program, integrity, args, env }: AddArguments,
  templates: () => Promise<ReadTemplates>,
): Promise<Wanted> {
  if (what.template === null) return { spec: what.spec, program, integrity, args, env };
  const template = templateNamed(what.template, await templates());
  const filled = fillTemplate(template, what.params);
  if ('faults' in filled)
    throw new McpctlError(
      'usage',
      filled.faults
        .map(({ path, message }) => `${path.replace(/^params\./, '--param ')} ${message}.`)
        .join(' '),
    );
  needVariables(template, env);
  const isOwn = ({ name }: { name: string }): boolean => env.some((one) => one.name === name);
  return {
    spec: { name: template.package, version: template.packageVersion },
    program: template.program,
    integrity: template.integrity,
    args: filled.args,
    healthCheck: template.healthCheck,
    env: [...filled.env.filter((one) => !isOwn(one)), ...env],
  };
}

function templateNamed(name: string, { files }: ReadTemplates): Template {
  const found = files.find(({ template }) => template.name === name);
  if (found) return found.template;
  const names = files.map(({ template }) => template.name);
  const near = nearest(name, names);
  const there = names.length === 0 ? 'This mcplocal came without any.' : `There are: ${names.join(', ')}.`;
  throw new McpctlError(
    'usage',
    `There is no template of that name. ${near.length > 0 ? didYouMean(near).trim() : there}`,
  );
}

function needVariables(template: Template, given: readonly Variable[]): void {
  const [fault] = variableFaults(
    template,
    given.map((one) => ({ name: one.name, isSecret: !('value' in one) })),
  );
  if (!fault) return;
  const { name, description, secret } = fault.variable;
  throw new McpctlError(
    'usage',
    fault.wrong === 'plain'
      ? `${name} is a secret: say --secret ${name}=FILE/KEY.`
      : `Say ${secret ? `--secret ${name}=FILE/KEY` : `--env ${name}=VALUE`}: ${description}.`,
  );
}
