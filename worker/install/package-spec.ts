import { McpctlError } from '../../core/errors.ts';
import { exactVersion, packageName, type PackageSpec } from '../../core/mcp/hosted/package.ts';

/** `PACKAGE@VERSION`. @throws McpctlError `usage` for what could be one version today and another tomorrow. */
export function packageSpec(text: string): PackageSpec {
  const at = text.lastIndexOf('@');
  const [name, version] = at > 0 ? [text.slice(0, at), text.slice(at + 1)] : [text, ''];
  if (!packageName.test(name))
    throw new McpctlError(
      'usage',
      `"${text}" is no package of npm. Write PACKAGE@VERSION, as @scope/name@1.2.3.`,
    );
  if (!exactVersion.test(version))
    throw new McpctlError(
      'usage',
      `Say exactly which version of ${name}: ${name}@1.2.3. "npm view ${name} version" says which is the newest.`,
    );
  return { name, version };
}

/** What a server of that package is called where nobody says otherwise. */
export function serverNameOf({ name }: PackageSpec): string {
  const plain = name.split('/').at(-1) ?? name;
  return plain
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 48)
    .replaceAll(/^-+|-+$/g, '');
}
