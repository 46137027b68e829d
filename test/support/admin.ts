/** The admin pages as a browser asks for them. */

/** What a browser says of a request that comes from a page of ours. */
export const ownPage = { 'sec-fetch-site': 'same-origin' };

/** `fetch` itself would follow the redirect and lose the cookie. */
export async function signIn(
  url: string,
  token: string,
  headers: Record<string, string> = ownPage,
): Promise<Response> {
  return await fetch(`${url}/admin/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams({ token }).toString(),
  });
}

/** `name=value`, as a browser sends it back. */
export async function cookieFor(url: string, token: string): Promise<string> {
  const set = (await signIn(url, token)).headers.get('set-cookie') ?? '';
  return set.slice(0, set.indexOf(';'));
}
