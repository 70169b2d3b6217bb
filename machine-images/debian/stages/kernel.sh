# shellcheck shell=bash
# The kernel and the modules that a virtual machine can use.

prepare_kernel() {
	say "kernel modules"
	local modules=$WORK/kernel/usr/lib/modules
	[ -d "$modules" ] || modules=$WORK/kernel/lib/modules # before the merge of /usr
	mkdir -p "$ROOT/usr/lib/modules"
	mv "$modules"/* "$ROOT/usr/lib/modules/"
	VERSION=$(ls "$ROOT/usr/lib/modules")
	MODULES=$ROOT/usr/lib/modules/$VERSION
	[ "$KERNEL" != generic ] || (cd "$MODULES/kernel" && remove_hardware_drivers)
	# Modules come compressed by xz, which an emulated CPU is slow to undo in each boot.
	find "$MODULES" -name '*.ko.xz' -print0 | xargs -0 -r -n 64 -P "$(nproc)" xz -d
	depmod -b "$ROOT" -F "$WORK/kernel/boot/System.map-$VERSION" "$VERSION" 2>/dev/null ||
		depmod -b "$ROOT" "$VERSION"
	cp "$WORK/kernel/boot/vmlinuz-$VERSION" "$BOOT/vmlinuz"
}

# Drivers of real hardware would double the image, and udev would load some of them.
remove_hardware_drivers() {
	rm -rf sound net/{bluetooth,can,mac80211,nfc,wireless,ieee802154,mac802154} \
		drivers/{accel,bluetooth,comedi,edac,extcon,gpio,gpu,hid,hwmon,hwtracing,i2c} \
		drivers/{iio,infiniband,isdn,leds,media,memstick,message,mfd,misc,mmc,mtd} \
		drivers/{nfc,ntb,parport,pcmcia,pinctrl,platform,power,soundwire,spi,staging} \
		drivers/{target,thermal,thunderbolt,ufs,usb,video,w1,watchdog} \
		drivers/net/{arcnet,can,dsa,fddi,hamradio,ieee802154,usb,wireless,wwan,phy}
	find drivers/net/ethernet -name '*.ko*' ! -path '*/e1000*' ! -path '*/realtek/8139*' -delete
	find drivers/scsi -mindepth 2 -name '*.ko*' -delete
}
