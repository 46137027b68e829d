/** @returns an SVG of what the terminal showed in the end. */
export function picture(transcript: string): string;
