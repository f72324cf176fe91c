import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [vue()],
  server: {
    host: '127.0.0.1',
    port: Number(process.env.VITE_PORT),
    strictPort: true,
    // A path of its own, for its route in cloakroom.yaml. The port is the gateway's: with it the page does not try the dev
    // server directly when the gateway refuses.
    hmr: { path: '/hmr', clientPort: Number(process.env.GATEWAY_PORT) },
  },
});
