// The tag of an ad: <script async src="https://ads.example/ad.js" data-placement="ID"></script>
//
// It asks for the ad where it stands and shows it in a frame that shares nothing with the page.
// data-country (FRA) says where the viewer is: without it no campaign that targets countries has an ad for the page.
// data-width and data-height choose one of the placement's sizes and keep the room for it.
// What the page knows of the viewer's choices it may state: data-gdpr, data-consent, data-coppa, data-us-privacy,
// data-gpp, data-gpp-sid; where the page has a consent dialogue of the IAB (TCF), the tag waits for its answer.
"use strict";
(() => {
  const script = document.currentScript;
  const stated = script.dataset;
  const SANDBOX = "allow-scripts allow-forms allow-popups allow-popups-to-escape-sandbox";
  const PARAMETERS = {
    placement: "placement", width: "w", height: "h", url: "url", country: "country", gdpr: "gdpr", consent: "consent",
    coppa: "coppa", usPrivacy: "us_privacy", gpp: "gpp", gppSid: "gpp_sid", test: "test",
  };

  function address(consent) {
    const ad = new URL("ad", script.src);
    ad.searchParams.set("format", "html");
    const page = window.location.href.split("#")[0];
    // An app's page, or a frame that was written rather than loaded, has no address that says where it is.
    if (page.startsWith("http")) ad.searchParams.set("url", page);
    for (const [name, parameter] of Object.entries(PARAMETERS)) {
      const value = stated[name] ?? consent[name];
      if (value) ad.searchParams.set(parameter, value);
    }
    return ad.href;
  }

  function show(consent) {
    const frame = document.createElement("iframe");
    frame.title = "Advertisement";
    frame.setAttribute("sandbox", SANDBOX);
    frame.scrolling = "no";
    frame.width = stated.width ?? 0;
    frame.height = stated.height ?? 0;
    frame.style.border = "0";
    // The frame says which size it needs, once: whatever it loads later is not asked.
    window.addEventListener("message", function resize(message) {
      const size = message.data?.gavel;
      if (message.source !== frame.contentWindow || !size) return;
      window.removeEventListener("message", resize);
      frame.width = Number(size.width);
      frame.height = Number(size.height);
    });
    frame.src = address(consent);
    script.after(frame);
  }

  function askForConsent() {
    let answered = false;
    window.__tcfapi("addEventListener", 2, (told, ok) => {
      if (answered || !ok || told.eventStatus === "cmpuishown") return;
      answered = true;
      // Only a plain no is one: whoever does not know yet whether the law applies, keeps to it.
      show({ gdpr: told.gdprApplies === false ? "0" : "1", consent: told.tcString });
    });
  }

  if (typeof window.__tcfapi === "function" && stated.consent === undefined) askForConsent();
  else show({});
})();
