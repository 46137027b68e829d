import { faultOfError, type Fault } from './fault.ts';
import { reasonOfBody } from './parts/reason.ts';

const LONGEST_SAID = 200;

/**
 * What is no answer at all, in the backend's words where they are short and no page. Words that tell whose it is count as they
 * would with a status: "Model is loading, please wait" in a 200 is not yet.
 */
export function unreadable(what: string, body?: string): Fault {
  const { message: words = '' } = reasonOfBody(body);
  // A piece of an answer may say anything.
  if (words !== '' && words.length <= LONGEST_SAID && !/^\s*[[{<]|^\s*data:/.test(body ?? '')) {
    const fault = faultOfError(words, { body: body ?? '' });
    if (fault.blame !== 'broken' && fault.blame !== 'caller') return fault;
  }
  const message = words === '' || words.length > LONGEST_SAID ? `${what}.` : `${what}: ${words}`;
  return { blame: 'broken', code: 'backend_error', message, retryable: true };
}

/** What is a page where an answer should be: something else is at the address that its owner wrote. */
export function isPage(body: string): boolean {
  return /^\s*<(!doctype|html|\?xml|head|body)/i.test(body);
}

export function ofPage(body: string): Fault {
  const { message: heading } = reasonOfBody(body);
  const named = heading === undefined ? '' : ` (${heading.slice(0, LONGEST_SAID)})`;
  const message = `The backend answered with a page${named}, not with an answer; its address may be that of something else.`;
  return { blame: 'owner', code: 'backend_misconfigured', message, retryable: true };
}

/** What is not all of an answer. */
export function incomplete(message: string): Fault {
  return { blame: 'broken', code: 'backend_incomplete', message, retryable: true };
}

/** What is no answer because of the one text that was asked about: no news of the member. */
export function ofThisText(message: string): Fault {
  return { ...incomplete(message), blame: 'unable' };
}
