import { z } from 'zod';

/** As npm has it. */
export const packageName = /^(@[a-z0-9~][a-z0-9._~-]{0,99}\/)?[a-z0-9~][a-z0-9._~-]{0,99}$/;
/** As semver has it: a range, a tag, an address are none. */
export const exactVersion = /^\d{1,9}\.\d{1,9}\.\d{1,9}(-[0-9A-Za-z.-]{1,64})?(\+[0-9A-Za-z.-]{1,64})?$/;

/** One version of a package, and no other. */
export interface PackageSpec {
  name: string;
  version: string;
}

export const packageNameSchema = z.string().regex(packageName, 'must be the name of a package of npm');
export const exactVersionSchema = z
  .string()
  .regex(exactVersion, 'must be one version, as 1.2.3: no range and no tag');
export const integritySchema = z
  .string()
  .regex(/^sha512-[A-Za-z0-9+/]{86}==$/, 'must be the sha512-… that npm has of the package');
/** Which of a package's programs. */
export const programSchema = z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'must be the name of a program');
