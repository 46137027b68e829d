/** What a terminal would act on instead of showing: C0 but tab and newline, DEL, C1. */
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/**
 * Text of a model or a server, safe for a terminal. Works on any piece of a stream: a sequence that is split
 * over two pieces loses its control character all the same.
 */
export function plain(text: string): string {
  return text.replace(controls, '');
}

/** The same, for one cell or one line. */
export function oneLine(text: string): string {
  return plain(text.replace(/[\r\n\t]+/g, ' '));
}
