/** Shorter ones would be found in ordinary words, written in another way. */
const WRITTEN_OTHERWISE = 8;

/** How a secret may be quoted: as it is, in a URL, in a JSON text, in base64. */
function formsOf(secret: string): string[] {
  if (secret.length < WRITTEN_OTHERWISE) return [secret];
  const base64 = Buffer.from(secret).toString('base64');
  const forms = [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    base64,
    base64.replace(/=+$/, ''),
    Buffer.from(secret).toString('base64url'),
  ];
  return [...new Set(forms)];
}

/** What a backend says, with `[key]` wherever it quotes a secret. */
export const withoutSecret = (text: string, secret: string): string =>
  formsOf(secret).reduce((clean, form) => clean.replaceAll(form, '[key]'), text);
