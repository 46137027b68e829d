import { expect } from 'chai';
import {
  catalogue,
  entryOf,
  isErrorCode,
  McpctlError,
  retiredCodes,
  type ErrorCode,
} from '../../core/errors.ts';

const codes = Object.keys(catalogue) as ErrorCode[];

describe('the catalogue of errors', () => {
  it('never sends 408 or 409 on /v1, because OpenAI clients repeat those', () => {
    for (const code of codes) {
      const { status, v1Status } = entryOf(code);
      if (code === 'already_running') continue; // only ever seen on a person's machine
      expect([408, 409], code).not.to.include(v1Status ?? status);
    }
  });

  it('calls nothing retryable that the caller has to mend', () => {
    for (const code of codes) {
      const { status, retryable } = entryOf(code);
      if (status < 500 && status !== 429) expect(retryable, code).to.equal(false);
    }
  });

  it('says each in a sentence', () => {
    for (const code of codes) expect(entryOf(code).message, code).to.match(/^[A-Z"].*\.$/s);
  });

  it('never uses a retired code again', () => {
    for (const code of retiredCodes) expect(isErrorCode(code)).to.equal(false);
  });

  it('knows its own codes only', () => {
    expect(isErrorCode('llm_not_found')).to.equal(true);
    for (const other of ['', 'toString', '__proto__', 'nope']) expect(isErrorCode(other)).to.equal(false);
  });

  it('is what an error takes its status and sentence from', () => {
    const error = new McpctlError('queue_full', undefined, { retryAfterS: 3 });
    expect([error.status, error.message, error.retryAfterS]).to.deep.equal([
      429,
      entryOf('queue_full').message,
      3,
    ]);
  });
});
