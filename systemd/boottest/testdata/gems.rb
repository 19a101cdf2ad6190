# Packs Debian's Ruby packages as gems, for a Bundler that cannot reach an index.
#
#     gems.rb DIR PACKAGE...
require "fileutils"
require "tmpdir"
require "rubygems/package"

out = File.join(ARGV.shift, "gems")
FileUtils.mkdir_p(out)
ARGV.each do |package|
  name = package.delete_prefix("ruby-")
  spec = Gem::Specification.find_by_name(name).dup
  Dir.mktmpdir do |dir|
    Dir.chdir(dir) do
      `dpkg -L #{package}`.split("\n").select { |f| File.file?(f) }.each do |file|
        kept = file[%r{/gems/#{spec.full_name}/(.*)}, 1]
        kept ||= [%r{/vendor_ruby/(?:3\.\d\.\d/)?(.*)}, %r{/extensions/.*/#{spec.full_name}/(.*)}].filter_map { |from| file[from, 1] }.map { |f| "lib/#{f}" }.first
        next unless kept
        FileUtils.mkdir_p(File.dirname(kept))
        FileUtils.cp(file, kept)
      end
      spec.files = Dir["**/*"].select { |f| File.file?(f) }
      spec.extensions, spec.test_files, spec.extra_rdoc_files, spec.require_paths = [], [], [], ["lib"]
      spec.bindir, spec.executables = "bin", Dir["bin/*"].map { |f| File.basename(f) }
      spec.platform = Gem::Platform.local if Dir["**/*.so"].any?
      FileUtils.mv(Gem::Package.build(spec, true), out)
    end
  end
end
system("gem", "generate_index", "--directory", File.dirname(out), exception: true)
