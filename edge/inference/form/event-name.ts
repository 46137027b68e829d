/** The `event:` line that belongs to data of this type, which is JSON. Names that could forge a line get none. */
export function eventName(type: string | undefined): { event?: string } {
  const name = /^"([a-z0-9_.]{1,128})"$/i.exec(type ?? '')?.[1];
  return name === undefined ? {} : { event: name };
}
