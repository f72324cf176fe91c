export interface User {
  id: string;
  name: string;
}

// useUser tells who is signed in, or null. The server reads it from the identity headers that cloakroom.yaml asks for: the
// gateway removes such headers when a browser sends them, and nobody but the gateway may reach this server. The browser
// gets the result together with the page.
export const useUser = () => useState<User | null>('user', () => {
  const { 'x-user-id': id, 'x-user-name': name } = useRequestHeaders(['x-user-id', 'x-user-name']);
  return id ? { id: utf8(id), name: utf8(name ?? id) } : null;
});

// Node.js takes the bytes of a header for Latin-1.
const utf8 = (header: string) => new TextDecoder().decode(Uint8Array.from(header, (c) => c.charCodeAt(0)));
