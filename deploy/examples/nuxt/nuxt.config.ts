export default defineNuxtConfig({
  compatibilityDate: '2026-01-01',
  devtools: { enabled: false },
  telemetry: false,
  runtimeConfig: {
    gateway: 'http://127.0.0.1:8080', // where this server reaches Cloakroom; NUXT_GATEWAY changes it
  },
});
