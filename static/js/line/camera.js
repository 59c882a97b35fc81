// The camera of this machine, in a dialog; `take` gets the picture as a file.

import { $, remembered } from "./state.js";

export function startCamera(form, take) {
  const camera = $("camera");
  const picture = $("camera-picture");
  const which = $("camera-which");
  const devices = navigator.mediaDevices; // only where the page came over https or from this machine
  if (!devices?.getUserMedia) return;
  $("open-camera").hidden = false;
  form.classList.add("has-camera");

  async function look() {
    stop();
    $("camera-failed").hidden = true;
    $("camera-shutter").disabled = true;
    const id = which.value || remembered("camera");
    const wanted = { width: { ideal: 3840 }, height: { ideal: 2160 } };
    try {
      const stream = await devices.getUserMedia({ video: id ? { ...wanted, deviceId: id } : { ...wanted, facingMode: "environment" } });
      if (!camera.open) return stream.getTracks().forEach((track) => track.stop());
      picture.srcObject = stream;
      await picture.play();
      $("camera-shutter").disabled = false;
      $("camera-shutter").focus();
      await offer(stream.getVideoTracks()[0].getSettings().deviceId);
    } catch (error) {
      if (!camera.open) return;
      const why = {
        NotAllowedError: say("This browser may not use the camera. Allow it beside the address above, then open the camera again."),
        NotFoundError: say("There is no camera. Connect one and open this again, or choose a file."),
        NotReadableError: say("Another program holds the camera. Close it, then open this again."),
      };
      $("camera-failed").textContent = why[error.name] || say("The camera does not answer ({}). Choose a file instead.", error.name);
      $("camera-failed").hidden = false;
    }
  }
  async function offer(current) {
    const found = (await devices.enumerateDevices()).filter((device) => device.kind === "videoinput");
    which.replaceChildren(...found.map((device, index) => new Option(device.label || say("Camera {}", index + 1), device.deviceId)));
    which.value = current;
    $("camera-choice").hidden = found.length < 2;
  }
  function stop() {
    if (picture.srcObject) picture.srcObject.getTracks().forEach((track) => track.stop());
    picture.srcObject = null;
  }
  $("open-camera").addEventListener("click", function () {
    camera.showModal();
    look();
  });
  which.addEventListener("change", function () {
    remembered("camera", which.value);
    look();
  });
  camera.addEventListener("close", stop);
  $("camera-close").addEventListener("click", () => camera.close());
  $("camera-shutter").addEventListener("click", function () {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.videoWidth, picture.videoHeight];
    canvas.getContext("2d").drawImage(picture, 0, 0);
    camera.close();
    const name = `camera-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "")}.jpg`;
    canvas.toBlob((blob) => take([new File([blob], name, { type: "image/jpeg" })]), "image/jpeg", 0.95);
  });
}
