/** The types of private-file.mjs, which is plain JavaScript because start/boot.mjs needs it before anything is built. */

/** @throws Error with what to do, when the folder is another user's, or everybody may write into it. */
export function refuseForeign(folder: string): void;

/** Writes a new file beside `path`, mode 0600, under a name that nobody can foresee. @returns its path. */
export function draftBeside(path: string, text: string): string;

/** Replaces a file as a whole, or leaves it as it was; mode 0600. Makes its folder. @throws Error. */
export function writePrivately(path: string, text: string): void;
