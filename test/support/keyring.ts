import { randomBytes } from 'node:crypto';
import { keyringOf, type Keyring } from '../../core/runtime/keyring/keyring.ts';

/** A key as an operator makes one. */
export const newKey = (): string => randomBytes(32).toString('base64');

/** Of the edges of one run. */
export const keyOfTests = newKey();

export const keyringWith = (...keys: readonly string[]): Keyring => keyringOf(keys);
