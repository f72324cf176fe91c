export interface Answer {
  status: number;
  body: any;
}

// useApi returns a function that calls a path of the application's origin through the gateway, which adds the access token
// on the way to the API. In the browser that is a same-origin call, to which the browser adds the cookie. The server
// passes on the cookie of the request that it renders a page for, and nothing else of it: the Sec-Fetch fields are about
// that request. useRequestFetch would pass on those too.
export function useApi() {
  const base = import.meta.server ? useRuntimeConfig().gateway : '';
  const headers = { 'X-CSRF': '1', ...useRequestHeaders(['cookie']) };

  return async (path: string, method = 'GET'): Promise<Answer> => {
    const answer = await fetch(base + path, { method, headers });
    return { status: answer.status, body: await answer.json() };
  };
}
