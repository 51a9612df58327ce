# make without a target lists the targets. Everything here is also one plain command, shown in the recipe.

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
BASH_COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
FISH_COMPLETIONS ?= $(PREFIX)/share/fish/vendor_completions.d
SYSCONFDIR ?= /etc
UNITDIR ?= /lib/systemd/system
CARGO ?= cargo
CARGO_TARGET_DIR ?= target
# How long make fuzz searches, each target.
FUZZ_SECONDS ?= 60
# How often make compare runs each contestant, and make trials each load.
ROUNDS ?= 3
# For make trials: how long each of its rounds is, but for a minute without etmemd.
MINUTES ?= 10
# For cargo xtask test, such as --allowed-skips FILE.
TEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-if-possible build demo test soak compare trials picture bench check fuzz install install-scan-library release deb rpm build-twice

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: ## Install what building and testing need (apt, as root)
	@scripts/setup

# What follows goes as far as it can without: tests that cannot run say so.
setup-if-possible:
	@scripts/setup || echo "note: going on without what setup could not install"

# What is made of the definitions of the command lines.
MANUAL = $(CARGO_TARGET_DIR)/release/manual
COMPLETIONS = $(CARGO_TARGET_DIR)/release/completions
SCAN_LIBRARY = $(CARGO_TARGET_DIR)/release/libetmemd_scan.so

build: ## Build etmemd, etmem and the scan library, optimised, with manual pages and completions
	$(CARGO) build --release --package etmemd --package etmem --package etmemd-scan
	scripts/link-scan-library "$(CARGO_TARGET_DIR)/release/libetmemd_scan.a" "$(SCAN_LIBRARY)"
	@rm -rf "$(MANUAL)" "$(COMPLETIONS)" && mkdir -p "$(COMPLETIONS)"
	"$(CARGO_TARGET_DIR)/release/etmem" man "$(MANUAL)/man1"
	"$(CARGO_TARGET_DIR)/release/etmemd" --man "$(MANUAL)/man8"
	@for shell in bash zsh fish; do \
	    "$(CARGO_TARGET_DIR)/release/etmem" completions $$shell >"$(COMPLETIONS)/$$shell" || exit 1; \
	done

demo: setup-if-possible ## Show cold memory of a running program go to swap
	$(CARGO) build --release --package etmemd --package etmem --package etmem-testkit --bins
	"$(CARGO_TARGET_DIR)/release/demo"

test: setup-if-possible ## Run every test; lists what was skipped and why
	@CARGO="$(CARGO)" scripts/test $(TEST_ARGS)

soak: setup-if-possible ## Run the tests that take minutes each and a machine that does nothing else
	$(CARGO) test --package etmem-tests --test vm_tiers -- --ignored --nocapture a_hundred
	$(CARGO) test --workspace --test packages --test vm_systemd -- --ignored --nocapture
	$(CARGO) test --workspace --test idle --test survey --test jumping --test limits --test reused_pid --test killed --test vm_guards --test vm --test triggers --test vm_damon --test balloon --test forecast -- --ignored --nocapture

compare: setup-if-possible ## Compare ways to take memory, in a virtual machine; ROUNDS=3
	ROUNDS="$(ROUNDS)" $(CARGO) test --package etmem-tests --test compare -- --ignored --nocapture
	$(CARGO) test --package etmem-tests --test vm_tiers -- --ignored --nocapture tiers_sinks

trials: setup-if-possible ## Try real servers under load, with etmemd and without in turn; ROUNDS=3, MINUTES=10
	@scripts/setup trials || echo "note: going on without what setup could not install"
	$(CARGO) build --release --package etmemd --package etmem --package etmem-testkit --bins
	ROUNDS="$(ROUNDS)" MINUTES="$(MINUTES)" $(CARGO) test --release --package etmem-tests --test trials -- --ignored --nocapture servers_under_load

picture: setup-if-possible ## Draw what of redis is idle for how long, and what comes back; MINUTES=10
	$(CARGO) build --release --package etmemd --package etmem --bins
	MINUTES="$(MINUTES)" $(CARGO) test --release --package etmem-tests --test trials -- --ignored --nocapture redis_by_age

bench: setup-if-possible ## Measure, and compare with the bounds
	$(CARGO) bench --package etmem-tests --bench measures
	$(CARGO) bench --package etmem-linux --bench slots

check: ## Compare the tree with the project's rules
	@$(CARGO) xtask check

fuzz: setup-if-possible ## Look for bytes from outside that etmem cannot cope with
	@$(CARGO) xtask fuzz --seconds $(FUZZ_SECONDS)

# What packages are made of, in a folder of its own: other flags than those of make build.
RELEASE = $(CARGO_TARGET_DIR)/packages
release:
	@CARGO="$(CARGO)" scripts/build-release "$(RELEASE)"

deb: release ## Make Debian packages, in target/packages
	@scripts/build-deb "$(RELEASE)/built" "$(RELEASE)"

rpm: release ## Make RPM packages, in target/packages
	@scripts/build-rpm "$(RELEASE)/built" "$(RELEASE)"

build-twice: ## Build the packages in two folders and compare them
	@scripts/build-twice "$(CARGO_TARGET_DIR)/build-twice"

# Of a library that is built: what programs that link it need.
install-scan-library:
	install -D -m 0644 "$(SCAN_LIBRARY)" "$(DESTDIR)$(LIBDIR)/libetmemd_scan.so"
	install -D -m 0644 -t "$(DESTDIR)$(INCLUDEDIR)" include/*.h
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig"
	scripts/pkg-config-file "$(PREFIX)" "$(LIBDIR)" "$(INCLUDEDIR)" >"$(DESTDIR)$(LIBDIR)/pkgconfig/etmemd_scan.pc"
	chmod 0644 "$(DESTDIR)$(LIBDIR)/pkgconfig/etmemd_scan.pc"

install: build install-scan-library ## Install below DESTDIR and PREFIX (/usr/local)
	install -d "$(DESTDIR)$(SBINDIR)" "$(DESTDIR)$(BINDIR)"
	install -m 0755 "$(CARGO_TARGET_DIR)/release/etmemd" "$(DESTDIR)$(SBINDIR)/etmemd"
	install -m 0755 "$(CARGO_TARGET_DIR)/release/etmem" "$(DESTDIR)$(BINDIR)/etmem"
	install -D -m 0644 -t "$(DESTDIR)$(MANDIR)/man1" "$(MANUAL)/man1/"*
	install -D -m 0644 -t "$(DESTDIR)$(MANDIR)/man5" docs/etmem.conf.5
	install -D -m 0644 -t "$(DESTDIR)$(MANDIR)/man8" "$(MANUAL)/man8/"*
	install -D -m 0644 "$(COMPLETIONS)/bash" "$(DESTDIR)$(BASH_COMPLETIONS)/etmem"
	install -D -m 0644 "$(COMPLETIONS)/zsh" "$(DESTDIR)$(ZSH_COMPLETIONS)/_etmem"
	install -D -m 0644 "$(COMPLETIONS)/fish" "$(DESTDIR)$(FISH_COMPLETIONS)/etmem.fish"
	@for unit in systemd/*.service systemd/*.service.d/*.conf.example; do \
	    [ -e "$$unit" ] || continue; \
	    place="$(DESTDIR)$(UNITDIR)/$${unit#systemd/}"; \
	    echo "install $$unit as $$place"; \
	    install -d "$${place%/*}" && \
	    sed -e 's|^ExecStart=/usr/sbin/|ExecStart=$(SBINDIR)/|' -e 's|^ExecReload=/usr/bin/|ExecReload=$(BINDIR)/|' "$$unit" >"$$place" && \
	    chmod 0644 "$$place" || exit 1; \
	done
	@for sample in etc/etmem/*; do \
	    [ -e "$$sample" ] || continue; \
	    place="$(DESTDIR)$(SYSCONFDIR)/etmem/$${sample##*/}"; \
	    if [ -e "$$place" ] && ! cmp -s "$$sample" "$$place"; then \
	        echo "$$place was changed and stays; the sample is $$place.new"; \
	        place="$$place.new"; \
	    fi; \
	    echo "install $$sample as $$place"; \
	    install -D -m 0600 "$$sample" "$$place" || exit 1; \
	done
